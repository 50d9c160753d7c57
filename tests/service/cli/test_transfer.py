"""A new experiment over the same parents and items starts from what is scored already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.cli.exits import Exit
from service.client.client import ApiError, Client
from service.experiment.candidate import CandidateKind
from service.reports.views import ExperimentDetail
from service.store.database import Database
from service.store.repository import Repository
from tests.service.command import Command
from tests.service.running import ended, settings_in, spec_over

Parents = dict[str, Path]


@pytest.fixture
def first(client: Client, paper_parents: Parents) -> ExperimentDetail:
    client.create(spec_over(paper_parents))
    return ended(client, "small")


def known_of(client: Client, name: str) -> list[Any]:
    return [each for each in client.all_candidates(name) if each.kind is CandidateKind.KNOWN]


def test_scores_of_another_space_and_weighting_are_taken_over(
    client: Client, paper_parents: Parents, first: ExperimentDetail
) -> None:
    wider = {"layer_groups": 2, "bounds": {"weight": [0, 3]}}
    objectives = [{"task": "words", "weight": 5.0}, {"task": "sums"}]
    again = spec_over(paper_parents, name="again", transfer="all", space=wider, objectives=objectives)
    made = client.create(again)
    assert made.known == {"small": 8}
    done = ended(client, "again")
    taken = known_of(client, "again")
    before = {each.number: each for each in client.all_candidates("small")}
    assert len(taken) == 8
    for each in taken:
        number = int(str(each.label).rsplit(" ", 1)[1])
        assert each.scores["search"] == before[number].scores["search"]
        assert each.generation == 0
    (event,) = (e for e in client.events("again").items if e.kind == "experiment.transferred")
    assert event.payload == {"models": 8, "of": {"small": 8}}
    assert done.progress.settled == done.progress.total
    assert first.known == {}


def test_what_was_taken_stays_when_the_first_experiment_is_deleted(
    client: Client, paper_parents: Parents, first: ExperimentDetail
) -> None:
    client.create(spec_over(paper_parents, name="again", transfer=["small"]))
    client.delete("small")
    ended(client, "again")
    assert len(known_of(client, "again")) == 8


def test_experiments_of_other_parents_or_items_are_refused(
    client: Client, paper_parents: Parents, first: ExperimentDetail
) -> None:
    fewer = [{"task": "words", "max_items": 60}]
    with pytest.raises(ApiError) as refused:
        client.create(spec_over(paper_parents, name="again", transfer=["small", "none"], objectives=fewer))
    told = {mistake.pointer: mistake.detail for mistake in refused.value.mistakes}
    assert told["/transfer/0"] == "small does not ask words, or asks it otherwise"
    assert told["/transfer/1"] == "there is no experiment 'none'"


def test_that_something_is_known_is_said_where_nothing_is_taken(
    client: Client, paper_parents: Parents, first: ExperimentDetail
) -> None:
    found = client.validate(spec_over(paper_parents, name="again"))
    assert any("`small" in w or w.startswith("small scored") for w in found.warnings)
    assert found.known == {}


def put_winner_at_its_bounds(home: Path) -> None:
    """Has an evolved candidate win, three of whose four weights end where the space does."""
    database = Database(settings_in(home).database)
    with database.session() as session:
        repository = Repository(session)
        row = repository.experiment("small")
        number = len(row.facts["baselines"])
        repository.candidate(row.id, number).genome = [1.5, 1.5, 1.5, 0.25]
        row.winner = {**(row.winner or {}), "number": number}
    database.close()


def test_a_search_that_ended_at_its_bounds_goes_on_in_wider_ones(
    evomerge: Command, client: Client, tmp_path: Path, first: ExperimentDetail
) -> None:
    put_winner_at_its_bounds(tmp_path / "home")
    assert "small-wider is waiting to start" in evomerge.notes(
        "extend", "small", "--widen", "--candidates", 4
    )
    wider = ended(client, "small-wider")
    assert wider.spec["space"]["bounds"] == {"weight": [0.0, 2.1]}
    assert wider.spec["space"]["layer_groups"] == first.spec["space"]["layer_groups"]
    assert wider.spec["transfer"] == ["small"]
    assert wider.spec["budget"]["candidates"] == 4
    assert wider.known == {"small": 8}
    assert "8 models of small" in evomerge("status", "small-wider")
    assert "small-wider" in evomerge("extend", "small", "--widen", code=Exit.CONFLICT)
    assert "--widen" in evomerge("extend", "small", "--name", "other", code=Exit.USAGE)


def test_a_winner_within_its_bounds_has_nothing_to_widen(
    evomerge: Command, client: Client, first: ExperimentDetail
) -> None:
    said = evomerge("extend", "small", "--widen", code=Exit.CONFLICT)
    assert "lies at its upper bound" in said
    assert "--candidates N" in said
