"""Merge methods, models and workers, through the interface."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from search_spaces.catalogue.methods import METHODS
from tests.service.running import ControlledWorkforce, Steps, spec_over


def test_every_merge_method_is_listed_with_its_parameters(finished: TestClient) -> None:
    found = {each["name"]: each for each in finished.get("/api/v1/merge-methods").json()["items"]}
    assert found.keys() == METHODS.keys()
    assert [each["name"] for each in found["ties"]["parameters"]][:2] == ["weight", "density"]
    assert found["ties"]["needs_base"]


def test_a_model_is_described_by_its_headers(finished: TestClient, paper_parents: dict[str, Path]) -> None:
    found = finished.get("/api/v1/models/inspect", params={"ref": str(paper_parents["left"])}).json()
    assert (found["layers"], found["model_type"]) == (2, "llama")
    assert found["parameters"] > 0
    assert finished.get("/api/v1/models/inspect", params={"ref": "/nowhere"}).status_code == 422
    assert finished.get("/api/v1/models/inspect", params={"ref": "not a model"}).status_code == 422


def test_workers_are_shown_with_what_they_are_at(
    http: TestClient, steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    assert http.get("/api/v1/workers").json()["items"] == []
    workforce.gate.clear()
    steps.create(spec_over(paper_parents))
    steps.wait("small", "running")
    (holder,) = http.get("/api/v1/workers").json()["items"]
    assert (holder["experiment"], holder["status"]) == ("small", "running")
    workforce.gate.set()
