from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.running import ControlledWorkforce, Steps, spec_over, wait_for

Parents = dict[str, Path]


def test_the_whole_way_from_spec_to_checkpoint(steps: Steps, paper_parents: Parents, tmp_path: Path) -> None:
    created = steps.create(spec_over(paper_parents))
    assert created["status"] == "queued"
    assert created["may"] == ["pause", "cancel"]

    done = steps.wait("small", "succeeded")
    assert done["progress"]["settled"] == done["progress"]["total"] == 12
    assert done["progress"]["counts"] == {"scored": 12}
    assert done["progress"]["best"] >= done["progress"]["best_baseline"]
    assert [point["candidates"] for point in done["progress"]["hypervolume"]] == [4, 8, 12]

    front = steps.get("/api/v1/experiments/small/front?split=test")
    assert front["winner"] == done["winner"]["number"]
    assert {point["label"] for point in front["baselines"]} >= {"parent: left", "plain average"}

    folder = tmp_path / "checkpoint"
    asked = steps.http.post("/api/v1/experiments/small/exports", json={"target": str(folder)})
    assert asked.status_code == 202
    assert asked.headers["Location"] == f"/api/v1/exports/{asked.json()['id']}"
    export = steps.exported(asked.json()["id"])
    assert export["status"] == "succeeded"
    assert export["folder"] == str(folder)
    assert "## Results" in (folder / "README.md").read_text()


def test_an_experiment_is_created_at_its_location(http: TestClient, paper_parents: Parents) -> None:
    answer = http.post("/api/v1/experiments", json=spec_over(paper_parents))
    assert answer.status_code == 201
    assert http.get(answer.headers["Location"]).json()["id"] == answer.json()["id"]


def test_all_mistakes_are_told_in_one_answer(http: TestClient, paper_parents: Parents) -> None:
    spec = spec_over(
        paper_parents,
        parents=[str(paper_parents["left"]), "/nowhere"],
        objectives=[{"task": "wrods"}],
        budgte={"candidates": 1},
        budget={"candidates": 0},
        optimizer={"algorithm": "cma-es"},
    )
    answer = http.post("/api/v1/experiments", json=spec)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    pointers = {mistake["pointer"] for mistake in answer.json()["errors"]}
    assert pointers >= {"/parents/1", "/objectives/0/task", "/budgte", "/budget/candidates"}
    assert any(pointer.startswith("/optimizer") for pointer in pointers)
    assert all(mistake["hint"] for mistake in answer.json()["errors"])


def test_validating_reports_instead_of_refusing(http: TestClient, paper_parents: Parents) -> None:
    good = http.post("/api/v1/experiments/validate", json=spec_over(paper_parents)).json()
    assert good["valid"] is True
    assert len(good["genes"]) == 4
    assert good["spec"]["batch_size"] == 64
    bad = http.post("/api/v1/experiments/validate", json=spec_over(paper_parents, seed=-1))
    assert bad.status_code == 200
    assert bad.json()["valid"] is False
    assert [mistake["pointer"] for mistake in bad.json()["mistakes"]] == ["/seed"]
    assert http.get("/api/v1/experiments").json()["items"] == []


def test_a_name_is_given_once(http: TestClient, steps: Steps, paper_parents: Parents) -> None:
    steps.create(spec_over(paper_parents))
    answer = http.post("/api/v1/experiments", json=spec_over(paper_parents))
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


def test_a_queued_experiment_pauses_resumes_and_is_cancelled(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    steps.create(spec_over(paper_parents, name="first"))
    steps.wait("first", "running")
    steps.create(spec_over(paper_parents, name="second"))
    verbs = [("pause", 200, "paused"), ("pause", 200, "paused"), ("resume", 202, "queued")]
    verbs += [("resume", 200, "queued"), ("cancel", 200, "cancelled"), ("cancel", 200, "cancelled")]
    for verb, code, status in verbs:
        answer = steps.http.post(f"/api/v1/experiments/second/{verb}")
        assert (answer.status_code, answer.json()["status"]) == (code, status), verb
    refused = steps.http.post("/api/v1/experiments/second/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")


def test_a_running_experiment_is_paused_and_goes_on(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    steps.create(spec_over(paper_parents))
    steps.wait("small", "running")
    asked = steps.http.post("/api/v1/experiments/small/pause")
    assert (asked.status_code, asked.json()["status"]) == (202, "pausing")
    workforce.pace = 0.1
    workforce.gate.set()
    assert "resume" in steps.wait("small", "paused")["may"]
    workforce.pace = 0.0
    assert steps.http.post("/api/v1/experiments/small/resume").status_code == 202
    assert steps.wait("small", "succeeded")["progress"]["settled"] == 12


def test_a_running_experiment_is_cancelled(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    steps.create(spec_over(paper_parents))
    steps.wait("small", "running")
    assert steps.http.post("/api/v1/experiments/small/cancel").status_code == 202
    assert steps.wait("small", "cancelled")["may"] == []


def test_an_experiment_is_deleted_when_it_stands_still(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents, tmp_path: Path
) -> None:
    workforce.gate.clear()
    workforce.job_gate.clear()
    steps.create(spec_over(paper_parents))
    steps.wait("small", "running")
    refused = steps.http.delete("/api/v1/experiments/small")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    workforce.gate.set()
    steps.wait("small", "succeeded")
    export = steps.http.post(
        "/api/v1/experiments/small/exports", json={"target": str(tmp_path / "out")}
    ).json()
    assert "is being exported" in steps.http.delete("/api/v1/experiments/small").json()["detail"]
    workforce.job_gate.set()
    steps.exported(export["id"])
    assert steps.http.delete("/api/v1/experiments/small").status_code == 200
    assert steps.get("/api/v1/experiments")["items"] == []
    assert steps.get("/api/v1/exports")["items"] == []
    assert steps.http.delete("/api/v1/experiments/small").status_code == 404
    assert (tmp_path / "out" / "README.md").exists()


def test_lists_are_paged_newest_first(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    for name in ("a", "b", "c"):
        steps.create(spec_over(paper_parents, name=name))
    first = steps.get("/api/v1/experiments?page_size=2")
    assert [item["name"] for item in first["items"]] == ["c", "b"]
    steps.create(spec_over(paper_parents, name="d"))  # does not shift the next page
    second = steps.get(f"/api/v1/experiments?page_size=2&page_token={first['next_page_token']}")
    assert [item["name"] for item in second["items"]] == ["a"]
    assert second["next_page_token"] is None


def test_an_experiment_is_found_by_name_and_by_id(finished: TestClient) -> None:
    by_name = finished.get("/api/v1/experiments/small").json()
    by_id = finished.get(f"/api/v1/experiments/{by_name['id']}").json()
    assert by_id["id"] == by_name["id"]


@pytest.mark.parametrize("key", ["other", "01a1fd23-0000-7000-8000-000000000000", "%F0%9F%92%A9", "x" * 500])
def test_an_unknown_experiment_is_a_404(finished: TestClient, key: str) -> None:
    answer = finished.get(f"/api/v1/experiments/{key}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_failed_experiment_tells_why(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.prepare_error = MemoryError("no room for the parents")
    steps.create(spec_over(paper_parents))
    failed: dict[str, Any] = steps.wait("small", "failed")
    assert failed["failure"]["cause"]
    assert failed["failure"]["remedy"]
    assert failed["may"] == ["resume", "extend"]
    workforce.prepare_error = None
    assert steps.http.post("/api/v1/experiments/small/resume").status_code == 202
    wait_for(lambda: steps.experiment("small")["status"] == "succeeded", "the resumed experiment")
