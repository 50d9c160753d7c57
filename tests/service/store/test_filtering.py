"""Filters, orders, the queue and deletion mean the same on SQLite and Postgres."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import select

from service.controller.deletion import delete, undelete
from service.errors import NotFoundError
from service.experiment.candidate import Candidate, FitnessRecord, Timings
from service.experiment.enqueued import EnqueuedBy
from service.store.database import Database
from service.store.filtering.candidates import candidate_fields
from service.store.filtering.columns import condition
from service.store.filtering.experiments import experiment_field
from service.store.filtering.grammar import parse
from service.store.filtering.ordering import parse_order, sorted_page
from service.store.journal import DatabaseJournal
from service.store.models import CandidateRow, ExperimentRow
from service.store.recipe_queue import count_waiting, enqueue
from service.store.repository import Repository
from tests.service.scripted_workforce import score_of
from tests.service.small_experiments import add_experiment
from tests.service.store.test_repository import RECIPE
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Scored


@pytest.fixture
def row(database: Database) -> ExperimentRow:
    """An experiment with three candidates: two have scores, one failed."""
    found = add_experiment(database)
    journal = DatabaseJournal(database, found.id, 0)
    candidates = [Candidate(uuid4(), n, 1, (0.1 * n, 3, "ties"), RECIPE, operator="sample") for n in range(3)]
    journal.proposed(candidates)
    scores = (score_of(RECIPE, "words"), score_of(RECIPE, "sums"))
    for one in candidates[:2]:
        journal.settled(one, Scored(one.id, 1, scores, 0.1 * (2 - one.number), 0.5, "w"), Timings())
    journal.settled(
        candidates[2], Failed(candidates[2].id, 1, Failure("oom", "no memory", "less")), Timings()
    )
    journal.told([FitnessRecord(n) for n in range(3)], None, 0.1)
    journal.commit()
    return found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("objectives.words > 0 AND status = scored", [0, 1]),
        ("status != scored", [2]),
        ("failure.code = oom OR number = 1", [1, 2]),
        ("NOT (on_front = true)", [0, 2]),
        ("on_front = true", [1]),
        ("seconds < 0.65", [1]),
        (f"recipe.method = {RECIPE.method}", [0, 1, 2]),
        ("settled_at > 2020-01-01T00:00:00Z AND operator:AMP", [0, 1, 2]),
        ("kind = parent", []),
        ("test.words > 0", []),
    ],
)
def test_candidates_are_chosen(database: Database, row: ExperimentRow, text: str, numbers: list[int]) -> None:
    named = candidate_fields(["words", "sums"], {1})
    query = select(CandidateRow.number).where(CandidateRow.experiment_id == row.id)
    with database.reading() as session:
        found = session.scalars(query.where(condition(parse(text), named)).order_by(CandidateRow.number))
        assert list(found) == numbers


@pytest.mark.parametrize("text", ["seconds", "seconds desc", "objectives.sums", "settled_at desc", "status"])
def test_pages_of_a_sorted_list_follow_each_other(database: Database, row: ExperimentRow, text: str) -> None:
    order = parse_order(text, candidate_fields(["words", "sums"], ()))
    query = select(CandidateRow.number, order.field.expression).where(CandidateRow.experiment_id == row.id)
    key = CandidateRow.number.expression
    with database.reading() as session:
        whole = [tuple(one) for one in session.execute(sorted_page(query, order, key, after=None))]
        for place, (number, value) in enumerate(whole):
            rest = session.execute(sorted_page(query, order, key, after=(value, number)))
            assert [tuple(one) for one in rest] == whole[place + 1 :]
    assert sorted(number for number, _ in whole) == [0, 1, 2]


def test_experiments_are_chosen_deleted_and_brought_back(database: Database, row: ExperimentRow) -> None:
    def chosen(text: str) -> list[str]:
        with database.reading() as session:
            query = select(ExperimentRow.name).where(condition(parse(text), experiment_field))
            return list(session.scalars(query))

    with database.session() as session:
        session.get_one(ExperimentRow, row.id).tags = ["größer"]
    assert chosen('tags:"größer" AND parents:LEFT') == ["small"]
    assert chosen("starred = true OR tags:klein") == []
    with database.session() as session:
        repository = Repository(session)
        delete(repository, repository.experiment("small"), force=True)
    with database.session() as session, pytest.raises(NotFoundError):
        Repository(session).experiment("small")
    with database.session() as session:
        assert undelete(Repository(session), "small").id == row.id


def test_a_recipe_waits_until_it_is_a_candidate(database: Database, row: ExperimentRow) -> None:
    with database.session() as session:
        key = enqueue(session, row.id, RECIPE, label="mine", by=EnqueuedBy.PERSON, ancestor=None).id
    journal = DatabaseJournal(database, row.id, 0)
    (waiting,) = journal.enqueued(5)
    assert (waiting.id, waiting.label, waiting.recipe) == (key, "mine", RECIPE)
    journal.proposed([Candidate(key, 3, 1, None, RECIPE, "mine")])
    assert journal.enqueued(5) == []  # though it is not durable yet
    journal.commit()
    with database.reading() as session:
        assert count_waiting(session, row.id) == 0
