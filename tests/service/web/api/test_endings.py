"""Experiments that are stopped early, deleted and brought back."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from tests.service.running import ControlledWorkforce, Steps, spec_over, wait_for
from tests.service.soundness import broken

SMALL = "/api/v1/experiments/small"


def test_a_stopped_search_scores_what_it_has_asked_for_and_examines_its_winner(
    http: TestClient, steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    workforce.pace = 0.05
    steps.create(spec_over(paper_parents, budget={"candidates": 400}))
    wait_for(lambda: http.get(f"{SMALL}/candidates/5").is_success, "a generation")
    assert "stop" in steps.experiment("small")["may"]
    answer = http.post(f"{SMALL}/stop")
    assert (answer.status_code, answer.json()["status"]) == (202, "stopping")
    ended = steps.wait("small", "succeeded")
    assert ended["reason"] == "stopped by request"
    assert ended["winner"] is not None
    assert ended["progress"]["counts"].keys() == {"scored"}
    assert ended["progress"]["settled"] < 400
    assert http.post(f"{SMALL}/stop").status_code == 200
    assert broken(http.app.state.services.database) == {}  # type: ignore[attr-defined]


def test_a_paused_search_can_be_stopped(
    http: TestClient, steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    workforce.pace = 0.05
    steps.create(spec_over(paper_parents, budget={"candidates": 400}))
    wait_for(lambda: http.get(f"{SMALL}/candidates/9").is_success, "a generation")
    http.post(f"{SMALL}/pause")
    steps.wait("small", "paused")
    assert http.post(f"{SMALL}/stop").status_code == 202
    assert steps.wait("small", "succeeded")["winner"] is not None


def test_a_deleted_experiment_comes_back_as_it_was(
    http: TestClient, steps: Steps, paper_parents: dict[str, Path]
) -> None:
    spec = spec_over(paper_parents)
    steps.create(spec)
    before = steps.wait("small", "succeeded")
    gone = http.delete(SMALL)
    assert (gone.status_code, gone.json()["name"]) == (200, "small")
    assert gone.json()["deleted_at"] is not None
    assert http.get(SMALL).status_code == 404
    assert http.get(f"/api/v1/experiments/{before['id']}").status_code == 404
    assert steps.get("/api/v1/experiments")["items"] == []
    assert http.post(f"{SMALL}/undelete").status_code == 200
    assert steps.experiment("small") == before
    assert http.post(f"{SMALL}/undelete").status_code == 404


def test_a_deleted_experiments_name_is_free_and_taken_names_keep_it_from_coming_back(
    http: TestClient, steps: Steps, paper_parents: dict[str, Path]
) -> None:
    spec = spec_over(paper_parents)
    first = steps.create(spec)["id"]
    steps.wait("small", "succeeded")
    http.delete(SMALL)
    steps.create(spec)
    assert http.post(f"/api/v1/experiments/{first}/undelete").json()["code"] == "name_taken"
    steps.wait("small", "succeeded")
    assert http.patch(SMALL, json={"name": "second"}).status_code == 200
    assert http.post(f"{SMALL}/undelete").json()["id"] == first


def test_an_experiment_is_removed_for_good_where_that_is_wanted(
    http: TestClient, steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    workforce.gate.clear()
    key = steps.create(spec_over(paper_parents))["id"]
    steps.wait("small", "running")
    assert http.delete(SMALL).status_code == 409
    assert http.delete(f"{SMALL}?force=true").status_code == 200
    address = f"/api/v1/experiments/{key}"
    wait_for(lambda: http.delete(f"{address}?for_good=true").status_code == 200, "its end")
    assert http.post(f"{address}/undelete").status_code == 404
    workforce.gate.set()
