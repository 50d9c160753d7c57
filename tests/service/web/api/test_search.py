"""What a search's inside looks like from outside: lineage, archive, extensions, warm starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.running import ControlledWorkforce, Steps, spec_over
from tests.service.scripted_workforce import Mishap

Parents = dict[str, Path]
ADDRESS = "/api/v1/experiments"


def bred(parents: Parents, **changes: Any) -> dict[str, Any]:
    budget = {"candidates": 24, "failures": 3}
    return spec_over(parents, optimizer={"algorithm": "nsga2", "population": 4}, budget=budget, **changes)


def test_a_candidates_ancestors_are_all_there(steps: Steps, paper_parents: Parents) -> None:
    steps.create(bred(paper_parents))
    steps.wait("small", "succeeded")
    last = steps.get(f"{ADDRESS}/small/candidates/27")
    assert last["ancestors"]
    lineage = steps.get(f"{ADDRESS}/small/candidates/27/lineage")
    assert (lineage["candidate"], lineage["complete"]) == (27, True)
    nodes = {node["number"]: node for node in lineage["nodes"]}
    assert nodes[27]["operator"] == last["operator"] != ""
    assert all(ancestor in nodes for node in nodes.values() for ancestor in node["ancestors"])
    assert {n for node in nodes.values() for n in node["ancestors"]} == nodes.keys() - {27}
    assert all(node["scores"] for node in nodes.values())
    assert steps.http.get(f"{ADDRESS}/small/candidates/99/lineage").status_code == 404


def test_the_archive_holds_the_best_of_every_cell(steps: Steps, paper_parents: Parents) -> None:
    measures = [
        {"kind": "share", "parent": str(paper_parents["left"]), "low": 0.0, "high": 1.0, "cells": 4},
        {"kind": "score", "objective": "sums", "low": 0.0, "high": 1.0, "cells": 3},
    ]
    steps.create(bred(paper_parents, measures=measures) | {"optimizer": {"algorithm": "map_elites"}})
    steps.wait("small", "succeeded")
    archive = steps.get(f"{ADDRESS}/small/archive")
    assert [measure["name"] for measure in archive["measures"]] == ["share: left", "score: sums"]
    assert archive["coverage"] == len(archive["cells"]) / 12
    course = archive["course"]
    assert course[-1]["coverage"] == archive["coverage"]
    assert course[-1]["qd_score"] == pytest.approx(archive["qd_score"])
    assert [point["coverage"] for point in course] == sorted(point["coverage"] for point in course)
    candidates = steps.get(f"{ADDRESS}/small/candidates?page_size=100")["items"]
    measured = {c["number"]: c["measures"] for c in candidates}
    assert measured[0] == [1.0, measured[0][1]]  # the left parent is all left
    for cell in archive["cells"]:
        assert cell["measures"] == measured[cell["number"]]
        assert cell["cell"][0] == min(int(4 * cell["measures"][0]), 3)


def test_without_measures_there_is_no_archive(finished: TestClient) -> None:
    answer = finished.get(f"{ADDRESS}/small/archive")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "no measures" in answer.json()["detail"]


def test_an_extended_experiment_ends_as_if_it_had_been_longer_from_the_start(
    steps: Steps, paper_parents: Parents
) -> None:
    steps.create(bred(paper_parents, name="long"))
    steps.create(bred(paper_parents, name="short") | {"budget": {"candidates": 10}})
    steps.wait("long", "succeeded")
    steps.wait("short", "succeeded")
    asked = steps.http.post(f"{ADDRESS}/short/extend", json={"candidates": 24})
    assert (asked.status_code, asked.json()["status"]) == (202, "queued")
    again = steps.wait("short", "succeeded")
    assert again["progress"]["settled"] == 28
    long, short = (
        steps.get(f"{ADDRESS}/{key}/candidates?page_size=100")["items"] for key in ("long", "short")
    )
    assert [c["digest"] for c in short] == [c["digest"] for c in long]
    assert again["winner"]["number"] == steps.experiment("long")["winner"]["number"]
    events = steps.get(f"{ADDRESS}/short/events")["items"]
    extended = [event["payload"] for event in events if event["kind"] == "experiment.extended"]
    assert extended[0]["test_was_read"] is True
    assert (extended[0]["before"]["candidates"], extended[0]["after"]["candidates"]) == (10, 24)


def test_an_extension_that_asks_for_less_or_for_nonsense_is_refused(
    steps: Steps, paper_parents: Parents
) -> None:
    steps.create(bred(paper_parents))
    steps.wait("small", "succeeded")
    for changes, pointer in (
        ({"candidates": 3}, "/candidates"),
        ({"seconds": -1.0}, "/seconds"),
        ({"candidates": None}, "/candidates"),
    ):
        answer = steps.http.post(f"{ADDRESS}/small/extend", json=changes)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
        assert answer.json()["errors"][0]["hint"]
    assert steps.http.post(f"{ADDRESS}/small/extend", json={"candidates": 24}).status_code == 200
    assert steps.experiment("small")["status"] == "succeeded"
    assert steps.http.post(f"{ADDRESS}/small/resume").status_code == 409


def test_only_what_stands_still_can_be_extended(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    steps.create(bred(paper_parents))
    steps.wait("small", "running")
    answer = steps.http.post(f"{ADDRESS}/small/extend", json={"candidates": 50})
    assert (answer.status_code, answer.json()["detail"]) == (409, "experiment small is searching")
    workforce.gate.set()
    steps.wait("small", "succeeded")


def test_a_run_that_failed_too_often_goes_on_when_more_is_put_up_with(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.script = {4: Mishap(), 6: Mishap(), 7: Mishap()}
    steps.create(bred(paper_parents) | {"budget": {"candidates": 12, "failures": 1}})
    assert steps.wait("small", "failed")["failure"]["code"] == "too_many_failures"
    steps.http.post(f"{ADDRESS}/small/extend", json={"failures": 5})
    assert steps.wait("small", "succeeded", "failed")["status"] == "succeeded"


def test_a_warm_start_takes_over_winner_and_front(steps: Steps, paper_parents: Parents) -> None:
    steps.create(bred(paper_parents))
    first = steps.wait("small", "succeeded")
    created = steps.create(bred(paper_parents, name="second", warm_start=["small"], seed=8))
    done = steps.wait("second", "succeeded")
    labels = [c["label"] for c in steps.get(f"{ADDRESS}/second/candidates?page_size=100")["items"]]
    taken = [label for label in labels if label is not None and label.startswith("small: ")]
    front = [p["number"] for p in steps.get(f"{ADDRESS}/small/front")["front"]]
    winner = first["winner"]["number"]
    wanted = {n for n in (winner, *front) if n >= 4}  # the baselines are there anyway
    assert {*taken} == {"small: winner" if n == winner else f"small: candidate {n}" for n in wanted}
    assert done["progress"]["total"] == 28 + len(taken)
    assert created["spec"]["warm_start"] == ["small"]
    assert done["progress"]["best"] >= first["progress"]["best"]


def test_a_warm_start_from_nowhere_is_a_mistake(http: TestClient, paper_parents: Parents) -> None:
    answer = http.post(ADDRESS, json=bred(paper_parents, warm_start=["nothing"]))
    assert answer.status_code == 422
    assert [mistake["pointer"] for mistake in answer.json()["errors"]] == ["/warm_start/0"]
    assert "there is no experiment 'nothing'" in answer.json()["errors"][0]["detail"]
