"""Recipes that people put into a search's queue, through the interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.running import ControlledWorkforce, Steps, spec_over, wait_for
from tests.service.scripted_workforce import Mishap
from tests.service.soundness import broken

BASE = "/api/v1/experiments/small"


@pytest.fixture
def recipe(paper_parents: dict[str, Path]) -> str:
    return (
        f"merge_method: passthrough\nmodels: [{{model: {paper_parents['left']}, parameters: {{scale: 2}}}}]"
    )


def begun(steps: Steps, workforce: ControlledWorkforce, parents: dict[str, Path], **changes: Any) -> None:
    """Has a search begin, and wait with its first generation."""
    workforce.gate.clear()
    steps.create(spec_over(parents, **changes))
    steps.wait("small", "running")


def test_a_recipe_becomes_a_candidate_with_its_label_and_counts_towards_the_budget(
    http: TestClient,
    steps: Steps,
    workforce: ControlledWorkforce,
    paper_parents: dict[str, Path],
    recipe: str,
) -> None:
    begun(steps, workforce, paper_parents)
    answer = http.post(f"{BASE}/candidates", json={"recipe": recipe, "label": "twice"})
    assert answer.status_code == 201
    assert answer.json()["candidate"] is None
    workforce.gate.set()
    steps.wait("small", "succeeded")
    (entry,) = steps.get(f"{BASE}/queue")["items"]
    candidate = steps.get(f"{BASE}/candidates/{entry['candidate']}")
    assert (candidate["kind"], candidate["label"], candidate["status"]) == ("enqueued", "twice", "scored")
    assert len(steps.get(f"{BASE}/candidates")["items"]) == 12
    assert broken(http.app.state.services.database) == {}  # type: ignore[attr-defined]


def test_failed_candidates_are_tried_again_and_scored_ones_asked_anew(
    http: TestClient, steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    workforce.script = {5: Mishap("out_of_memory")}
    workforce.pace = 0.05
    steps.create(spec_over(paper_parents, budget={"candidates": 24}))
    wait_for(lambda: _is_settled(http, 7), "candidate 7")
    refused = http.post(f"{BASE}/candidates/6/retry")
    assert (refused.status_code, refused.json()["hint"]) == (409, "re-evaluate it instead")
    again = http.post(f"{BASE}/candidates/5/retry")
    assert (again.status_code, again.json()["label"]) == (202, "retry of 5")
    assert http.post(f"{BASE}/candidates/5/reevaluate").status_code == 409
    assert http.post(f"{BASE}/candidates/6/reevaluate").status_code == 202
    steps.wait("small", "succeeded")
    first, second = [
        steps.get(f"{BASE}/candidates/{entry['candidate']}") for entry in steps.get(f"{BASE}/queue")["items"]
    ]
    assert (first["status"], first["ancestors"], first["operator"]) == ("scored", [5], "retry")
    assert (second["ancestors"], second["operator"]) == ([6], "reevaluation")
    assert second["scores"]["search"] == steps.get(f"{BASE}/candidates/6")["scores"]["search"]
    assert steps.get(f"{BASE}/candidates/5")["status"] == "failed"


def _is_settled(http: TestClient, number: int) -> bool:
    answer = http.get(f"{BASE}/candidates/{number}")
    return answer.is_success and answer.json()["status"] != "proposed"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("merge_method: [", "invalid"),
        ("merge_method: linear\nmodels: [{model: /nowhere, parameters: {weight: 1}}]", "unknown_parent"),
    ],
)
def test_a_recipe_that_cannot_be_merged_is_refused_with_all_its_mistakes(
    http: TestClient,
    steps: Steps,
    workforce: ControlledWorkforce,
    paper_parents: dict[str, Path],
    text: str,
    code: str,
) -> None:
    begun(steps, workforce, paper_parents)
    refused = http.post(f"{BASE}/candidates", json={"recipe": text})
    assert refused.status_code == 422
    assert all(mistake["pointer"] == "/recipe" for mistake in refused.json()["errors"])
    assert any(code in mistake["code"] for mistake in refused.json()["errors"])
    workforce.gate.set()


def test_a_search_without_places_takes_no_recipes(
    http: TestClient,
    steps: Steps,
    workforce: ControlledWorkforce,
    paper_parents: dict[str, Path],
    recipe: str,
) -> None:
    begun(steps, workforce, paper_parents, budget={"candidates": 6})
    answers = [http.post(f"{BASE}/candidates", json={"recipe": recipe}) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [201] * 6 + [409]
    assert "are asked for, or promised" in answers[6].json()["detail"]
    workforce.gate.set()
    steps.wait("small", "succeeded", "failed")
    refused = http.post(f"{BASE}/candidates", json={"recipe": recipe})
    assert refused.status_code == 409
    assert "evomerge extend small" in refused.json()["hint"]
