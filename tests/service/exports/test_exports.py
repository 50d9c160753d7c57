from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.renamed_parents import shown
from service.controller.runner import Runner
from service.exports.exporter import Exporter
from service.store.database import Database
from service.store.leases import claim_export
from service.store.repository import Repository
from service.web.app import create_app
from tests.service.running import ControlledWorkforce, Steps, settings_in, spec_over, wait_for
from tests.service.small_experiments import add_experiment
from workers.errors import ExportError
from workers.protocol.messages import ExportOrder
from workers.protocol.publications import Publication

ADDRESS = "/api/v1/experiments/small/exports"
SLOW = 60.0


@pytest.fixture
def workforce() -> ControlledWorkforce:
    return ControlledWorkforce()


@pytest.fixture
def steps(tmp_path: Path, workforce: ControlledWorkforce, paper_parents: dict[str, Path]) -> Iterator[Steps]:
    """A service with an experiment that has succeeded."""
    app = create_app(settings_in(tmp_path / "home"), workforce=workforce)
    with TestClient(app, base_url="http://localhost") as http:
        found = Steps(http)
        found.create(spec_over(paper_parents))
        found.wait("small", "succeeded")
        yield found


def export(steps: Steps, **body: Any) -> dict[str, Any]:
    answer = steps.http.post(ADDRESS, json=body)
    assert answer.status_code == 202, answer.text
    return steps.exported(answer.json()["id"])


def orders(workforce: ControlledWorkforce) -> list[ExportOrder]:
    return [job for job in workforce.jobs if isinstance(job, ExportOrder)]


def test_a_checkpoint_says_where_it_comes_from(
    steps: Steps, workforce: ControlledWorkforce, tmp_path: Path
) -> None:
    done = export(steps, candidate=7)
    folder = tmp_path / "home" / "exports" / "small" / "7"
    assert done["folder"] == str(folder)
    stored = steps.get("/api/v1/experiments/small/candidates/7")
    known = json.loads((folder / "evomerge.json").read_text())
    assert known["scores"] == stored["scores"]
    assert known["recipe_digest"] == stored["digest"] == orders(workforce)[0].recipe.digest
    assert read_recipe((folder / "mergekit_config.yml").read_text()).digest == stored["digest"]
    assert "# small, candidate 7" in (folder / "README.md").read_text()


def test_the_winner_is_exported_by_default(steps: Steps) -> None:
    assert export(steps)["candidate"] == steps.experiment("small")["winner"]["number"]


def test_a_hub_export_is_private_and_tells_nothing_of_this_machine(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    done = export(steps, candidate=7, target="hub:me/merged", accept_licences=True)
    assert done["url"] == "https://hub.test/me/merged"
    order = orders(workforce)[0]
    assert order.hub is not None
    assert (order.hub.repository, order.hub.private) == ("me/merged", True)
    place = str(paper_parents["left"].parent)
    assert place not in order.card + "".join(order.extra_files.values())
    assert 'from_pretrained("me/merged")' in order.card
    export(
        steps, candidate=7, target="hub:me/merged", private=False, accept_licences=True
    )  # again, and this time for all
    second = orders(workforce)[1].hub
    assert second is not None
    assert not second.private


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"candidate": 99}, 404, "not_found"),
        ({"candidate": -1}, 422, "invalid_request"),
        ({"candidate": True}, 422, "invalid_request"),
        ({"candidate": "best"}, 422, "invalid_request"),
        ({"target": "relative/folder"}, 422, "bad_target"),
        ({"target": "hub:noslash"}, 422, "bad_target"),
        ({"target": "hub:../../etc"}, 422, "bad_target"),
        ({"target": "https://example.org/x"}, 422, "bad_target"),
        ({"target": "s3://user:secret@bucket/x"}, 422, "bad_target"),
        ({"format": "onnx"}, 422, "invalid_request"),
        ({"dtype": "int4"}, 422, "invalid_request"),
        ({"target": ""}, 422, "invalid_request"),
        ({"target": "/etc/passwd/x"}, 422, "bad_target"),
        ({"target": "/etc"}, 409, "conflict"),
        ({"target": "/etc", "replace": True}, 409, "conflict"),
        ({"replace": "yes"}, 422, "invalid_request"),
        ({"token": "hf_x"}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_exported_is_refused_at_once(
    steps: Steps, workforce: ControlledWorkforce, body: dict[str, Any], status: int, code: str
) -> None:
    answer = steps.http.post(ADDRESS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert orders(workforce) == []


def test_only_an_earlier_export_is_replaced(steps: Steps, tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    export(steps, candidate=7, target=target)
    refused = steps.http.post(ADDRESS, json={"candidate": 7, "target": target})
    assert refused.status_code == 409
    assert "exists already" in refused.json()["detail"]
    assert export(steps, candidate=6, target=target, replace=True)["status"] == "succeeded"
    assert json.loads((tmp_path / "out" / "evomerge.json").read_text())["candidate"] == 6


def test_there_is_no_winner_before_the_end(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    workforce.gate.clear()
    steps.create(spec_over(paper_parents, name="later"))
    answer = steps.http.post("/api/v1/experiments/later/exports", json={})
    assert answer.status_code == 409
    assert "no winner yet" in answer.json()["detail"]


def test_a_parent_as_it_is_takes_a_word_and_its_card_says_that_it_is_a_copy(
    steps: Steps, workforce: ControlledWorkforce
) -> None:
    refused = steps.http.post(ADDRESS, json={"candidate": 0})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "as it is, no merge" in refused.json()["detail"]
    assert "--even-a-parent" in refused.text
    assert orders(workforce) == []
    assert export(steps, candidate=0, even_a_parent=True)["status"] == "succeeded"
    (order,) = orders(workforce)
    assert "A copy of left, not a merge" in order.card
    assert "A merge of" not in order.card
    assert json.loads(order.extra_files["evomerge.json"])["copy_of"] == "left"


def test_what_a_worker_found_when_it_loaded_the_checkpoint_is_told(
    steps: Steps, workforce: ControlledWorkforce
) -> None:
    done = export(steps, candidate=7)
    assert done["verified"] == "loaded"
    assert done["notes"] == []
    unverified = export(steps, candidate=6, verify=False)
    assert unverified["verified"] is None
    assert [order.verify for order in orders(workforce)] == [True, False]
    assert "was written without being loaded" in orders(workforce)[1].card


def test_a_repository_that_holds_a_model_is_replaced_only_when_asked(
    steps: Steps, workforce: ControlledWorkforce
) -> None:
    export(steps, candidate=7, target="hub:me/merged", accept_licences=True)
    export(steps, candidate=7, target="hub:me/merged", replace=True, accept_licences=True)
    assert [order.hub.replace for order in orders(workforce) if order.hub] == [False, True]


def test_licences_stand_in_the_way_of_the_hub_until_they_are_accepted(
    steps: Steps, workforce: ControlledWorkforce
) -> None:
    refused = steps.http.post(ADDRESS, json={"candidate": 7, "target": "hub:me/merged"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "left names no licence" in refused.text
    assert "--accept-licences" in refused.text
    assert orders(workforce) == []
    export(steps, candidate=7, target="hub:me/merged", accept_licences=True)
    (order,) = orders(workforce)
    assert "left names no licence" in order.card
    assert "at its author's word" in order.card


def test_a_preview_says_what_would_be_written_and_writes_nothing(
    steps: Steps, workforce: ControlledWorkforce, tmp_path: Path
) -> None:
    body = {"candidate": 7, "target": "hub:me/merged"}
    before = sorted((tmp_path / "home").rglob("*"))
    answer = steps.http.post(f"{ADDRESS}/preview", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["candidate"], told["target"]) == (7, "hub:me/merged")
    assert told["files"]["README.md"] == len(told["card"].encode())
    assert told["bytes"] == sum(told["files"].values())
    assert "# small, candidate 7" in told["card"]
    assert "names no licence" in told["licence_findings"][0]
    assert "--accept-licences" in told["refusals"][0]
    accepted = steps.http.post(f"{ADDRESS}/preview", json=body | {"accept_licences": True}).json()
    assert accepted["refusals"] == []
    assert steps.get("/api/v1/exports")["items"] == []
    assert orders(workforce) == []
    assert sorted((tmp_path / "home").rglob("*")) == before


def test_what_is_wanted_of_the_files_reaches_the_worker(
    steps: Steps, workforce: ControlledWorkforce, tmp_path: Path
) -> None:
    export(steps, candidate=7, dtype="bfloat16", shard_gigabytes=0.5, memory_limit=2**30, format="mergekit",
           target=f"file://{tmp_path}/store")  # fmt: skip
    (order,) = orders(workforce)
    assert (order.recipe.out_dtype, order.shard_bytes) == ("bfloat16", 500_000_000)
    assert (order.memory_limit, order.format) == (2**30, "mergekit")
    assert (order.remote, order.hub) == (f"file://{tmp_path}/store", None)
    assert order.pictures["evomerge_front.png"].startswith(b"\x89PNG")
    assert "](evomerge_front.png)" in order.card


def test_members_of_a_front_name_each_other(
    steps: Steps, workforce: ControlledWorkforce, tmp_path: Path
) -> None:
    for number in (6, 7):
        export(steps, candidate=number, target=f"hub:me/it-{number}", family=[6, 7], accept_licences=True)
    first, second = orders(workforce)
    assert "[candidate 7](https://huggingface.co/me/it-7)" in first.card
    assert "[candidate 6](https://huggingface.co/me/it-6)" in second.card
    assert second.hub is not None
    assert second.hub.collection == "small: front"
    wrong = {"candidate": 7, "target": str(tmp_path / "x"), "family": [6, 7]}
    assert steps.http.post(ADDRESS, json=wrong).json()["code"] == "bad_target"


def test_every_model_of_a_repository_has_a_version_and_says_what_changed(
    steps: Steps, workforce: ControlledWorkforce
) -> None:
    def publish(candidate: int, **options: Any) -> ExportOrder:
        export(steps, candidate=candidate, target="hub:me/it", accept_licences=True, replace=True, **options)
        order = orders(workforce)[-1]
        assert order.hub is not None
        recipe = json.loads(shown(order.recipe, named=True).canonical_json())
        tags = (*workforce.published["me/it"].tags, order.hub.tag or "") if workforce.published else ("v0.1",)
        known = json.loads(order.extra_files["evomerge.json"])
        workforce.published["me/it"] = Publication("me/it", known, recipe, tags)
        return order

    def tag(order: ExportOrder) -> str | None:
        assert order.hub is not None
        return order.hub.tag

    first = publish(7)
    assert tag(first) == "v1.0.0"
    assert "- **1.0.0**" in first.card
    second = publish(6)
    assert tag(second) == "v1.1.0"
    for told in ("- **1.1.0**", "- **1.0.0**", "mean share of left", "paired difference", "values differ"):
        assert told in second.card
    again = publish(6)  # the same recipe keeps its version
    assert (tag(again), again.card.count("- **")) == ("v1.1.0", second.card.count("- **"))
    assert tag(publish(6, create_pr=True)) is None  # the main branch stays as it is
    known = dict(workforce.published["me/it"].scores or {})
    strange = text_with_parent(dict(workforce.published["me/it"].recipe or {}), "elsewhere/model")
    known["experiment"] = {"id": "gone", "name": "gone"}
    workforce.published["me/it"] = Publication("me/it", known, strange, ("v4.0.0", "nightly"))
    major = publish(5)
    assert tag(major) == "v5.0.0"
    assert "no longer made of elsewhere/model" in major.card
    assert "not paired" in major.card
    broken = {"releases": [{"version": 7}], "experiment": 3}
    workforce.published["me/it"] = Publication("me/it", broken, {"method": "nothing"})
    assert tag(publish(5)) == "v1.0.0"


def text_with_parent(recipe: dict[str, Any], reference: str) -> dict[str, Any]:
    """Returns a recipe whose first parent is another one."""
    changed: dict[str, Any] = json.loads(json.dumps(recipe))
    first = changed["slices"][0]["sources"][0]["parent"]
    text = json.dumps(changed).replace(json.dumps(first), json.dumps(reference))
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_failed_export_tells_cause_and_remedy(steps: Steps, workforce: ControlledWorkforce) -> None:
    workforce.job_error = ExportError("disk", "2 GB are needed, 1 GB is free", "make room")
    failed = export(steps, candidate=7)
    assert failed["status"] == "failed"
    assert failed["failure"]["code"] == "export_failed"
    assert failed["failure"]["cause"] == "disk: 2 GB are needed, 1 GB is free"
    assert failed["failure"]["remedy"] == "make room"
    workforce.job_error = None
    assert export(steps, candidate=7)["status"] == "succeeded"


def test_names_cannot_lead_out_of_the_exports_folder(
    steps: Steps, paper_parents: dict[str, Path], tmp_path: Path
) -> None:
    places = set()
    for name in ("....", "a?b", "a:b", "...", "ärger"):
        row = steps.create(spec_over(paper_parents, name=name))
        steps.wait(row["id"], "succeeded")
        answer = steps.http.post(f"/api/v1/experiments/{row['id']}/exports", json={"candidate": 7})
        places.add(Path(steps.exported(answer.json()["id"])["folder"]))
    assert len(places) == 5
    exports = tmp_path / "home" / "exports"
    assert all(place.parent.parent == exports and ".." not in place.parts for place in places)


def test_an_export_whose_controller_died_is_done_again(
    sqlite_database: Database, workforce: ControlledWorkforce, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    add_finished(sqlite_database, workforce)
    with sqlite_database.session() as session:
        repository = Repository(session)
        row = repository.create_export(
            repository.experiment("small").id, 0, str(tmp_path / "out"), {"private": True, "replace": False}
        )
        claim_export(session, "a controller that dies", seconds=0.5)
    # It had put the folder in place, and died before it could say so.
    exporter = Exporter(sqlite_database, workforce, settings)
    assert not exporter.run_next()  # the other may be alive
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "evomerge.json").write_text(json.dumps({"export": str(row.id)}))
    wait_for(exporter.run_next, "the lease to end")
    with sqlite_database.reading() as session:
        again = Repository(session).export(row.id)
    assert (again.status, again.folder) == ("succeeded", str(folder))
    assert orders(workforce)[0].replace


def test_a_long_export_keeps_its_lease(
    sqlite_database: Database, workforce: ControlledWorkforce, tmp_path: Path
) -> None:
    add_finished(sqlite_database, workforce)
    with sqlite_database.session() as session:
        repository = Repository(session)
        options = {"private": True, "replace": False}
        repository.create_export(repository.experiment("small").id, 0, str(tmp_path / "out"), options)
    workforce.job_gate.clear()
    exporter = Exporter(sqlite_database, workforce, settings_in(tmp_path, lease_seconds=2.0))
    thread = threading.Thread(target=exporter.run_next)
    thread.start()
    threading.Event().wait(3.0)
    assert not Exporter(sqlite_database, workforce, settings_in(tmp_path)).run_next()
    workforce.job_gate.set()
    thread.join(SLOW)
    assert len(orders(workforce)) == 1


def test_an_export_that_stalls_keeps_no_other_waiting_and_can_be_cancelled(
    steps: Steps, workforce: ControlledWorkforce, tmp_path: Path, paper_parents: dict[str, Path]
) -> None:
    workforce.job_gate.clear()
    stalled = steps.http.post(ADDRESS, json={"candidate": 0, "even_a_parent": True}).json()["id"]
    wait_for(lambda: steps.get(f"/api/v1/exports/{stalled}")["status"] == "running", "the export to begin")
    assert steps.create(spec_over(paper_parents, name="other"))["status"] == "queued"
    waiting = steps.http.post(ADDRESS, json={"candidate": 1, "even_a_parent": True}).json()["id"]
    wait_for(lambda: steps.get(f"/api/v1/exports/{waiting}")["status"] == "running", "the other to begin")
    assert steps.http.post(f"/api/v1/exports/{stalled}/cancel").status_code == 202
    wait_for(lambda: steps.get(f"/api/v1/exports/{stalled}")["status"] == "cancelled", "the cancel")
    workforce.job_gate.set()
    assert steps.exported(waiting)["status"] == "succeeded"
    again = steps.http.post(f"/api/v1/exports/{waiting}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "illegal_transition")


def test_an_export_that_waits_is_cancelled_at_once(
    sqlite_database: Database, workforce: ControlledWorkforce, tmp_path: Path
) -> None:
    add_finished(sqlite_database, workforce)
    with sqlite_database.session() as session:
        repository = Repository(session)
        options = {"private": True, "replace": False}
        row = repository.create_export(repository.experiment("small").id, 0, str(tmp_path / "out"), options)
        repository.cancel_export(row)
    assert not Exporter(sqlite_database, workforce, settings_in(tmp_path)).run_next()
    assert orders(workforce) == []


def add_finished(database: Database, workforce: ControlledWorkforce) -> None:
    """Adds an experiment with one scored baseline."""
    add_experiment(database, parents=["/models/left", "/models/right"])
    runner = Runner(database, workforce, settings_in(Path("/nowhere")))
    assert runner.run_next()
