from __future__ import annotations

import threading
import time
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import InvalidRequestError

from search_spaces import Infeasible, Recipe
from service.errors import ConflictError, IllegalTransitionError, NameTakenError, NotFoundError
from service.experiment.candidate import Candidate, CandidateKind, CandidateStatus, Timings
from service.experiment.status import ExperimentStatus
from service.search.journal import GenerationSummary
from service.store.database import Database
from service.store.journal import DatabaseJournal
from service.store.repository import Repository
from service.store.types import new_id
from tests.service.scripted_workforce import score_of
from tests.service.small_experiments import add_experiment
from workers.protocol.failure import Failure
from workers.protocol.messages import Scored

_S = ExperimentStatus
RECIPE = Recipe.model_validate(
    {"method": "passthrough", "slices": [{"sources": [{"parent": "/models/left"}]}]}
)


def add_candidates(database: Database, key: UUID, count: int) -> None:
    """Adds candidates: number 0 is a scored baseline, 1 infeasible, the others proposed."""
    journal = DatabaseJournal(database, key, 0)
    first = Candidate(uuid4(), 0, 0, None, RECIPE, "parent: left", kind=CandidateKind.PARENT)
    others = [
        Candidate(uuid4(), n, 1, (0.5,), Infeasible("no") if n == 1 else RECIPE) for n in range(1, count)
    ]
    journal.proposed([first, *others])
    scored = Scored(first.id, 1, (score_of(RECIPE, "words"), score_of(RECIPE, "sums")), 0.1, 0.2, "w0")
    journal.settled(first, scored, Timings(0.01, 0.02))
    journal.commit()


def test_an_experiment_is_found_by_id_and_by_name(database: Database) -> None:
    row = add_experiment(database)
    with database.reading() as session:
        repository = Repository(session)
        assert (
            repository.experiment(row.id)
            is repository.experiment(str(row.id))
            is repository.experiment("small")
        )
        for key in ("other", uuid4(), str(uuid4())):
            with pytest.raises(NotFoundError, match="there is no experiment"):
                repository.experiment(key)


def test_a_name_is_taken_once(database: Database) -> None:
    add_experiment(database)
    with pytest.raises(NameTakenError, match="already an experiment called 'small'"):
        add_experiment(database)
    add_experiment(database, name="another")


def test_experiments_come_newest_first_in_pages(database: Database) -> None:
    for i in range(5):
        add_experiment(database, name=f"number {i}")
    with database.reading() as session:
        repository = Repository(session)
        first = repository.experiments(limit=2)
        second = repository.experiments(limit=2, before=first[-1])
        last = repository.experiments(limit=2, before=second[-1].id)
    assert [row.name for row in first + second + last] == [f"number {i}" for i in (4, 3, 2, 1, 0)]


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(200)]
    assert {id_.version for id_ in ids} == {7}
    assert [id_.int >> 76 for id_ in ids] == sorted(id_.int >> 76 for id_ in ids)


def test_moving_an_experiment_notes_when_and_why(database: Database) -> None:
    row = add_experiment(database)
    failure = {"code": "x", "cause": "y", "remedy": "z"}
    for status, reason in (
        (_S.RUNNING, None),
        (_S.PAUSING, "by request"),
        (_S.PAUSED, None),
        (_S.QUEUED, None),
    ):
        with database.session() as session:
            repository = Repository(session)
            repository.move(repository.experiment(row.id), status, reason=reason)
    with database.session() as session:
        repository = Repository(session)
        again = repository.experiment(row.id)
        assert again.started_at is not None
        assert again.ended_at is None
        repository.move(again, _S.FAILED, failure=Failure.from_json(failure))
        assert again.ended_at is not None
    with database.reading() as session:
        events = Repository(session).events(experiment_id=row.id)
    assert [event.payload.get("status") for event in events] == [
        None, "running", "pausing", "paused", "queued", "failed",
    ]  # fmt: skip
    assert events[2].payload == {"status": "pausing", "reason": "by request"}
    assert Failure.from_json(events[-1].payload["failure"]) == Failure.from_json(failure)


def test_a_move_is_judged_by_what_is_true_now(database: Database) -> None:
    row = add_experiment(database)
    with database.session() as session:
        repository = Repository(session)
        repository.move(repository.experiment(row.id), _S.CANCELLED)
    problem = pytest.raises(IllegalTransitionError, match="is cancelled; it cannot go on")
    with problem, database.session() as session:
        Repository(session).move(session.merge(row), _S.RUNNING)


def test_candidates_come_with_their_scores_by_number(database: Database) -> None:
    row = add_experiment(database)
    add_candidates(database, row.id, 5)
    with database.reading() as session:
        repository = Repository(session)
        everything = repository.candidates(row.id)
        assert [c.number for c in everything] == [0, 1, 2, 3, 4]
        assert [c.number for c in repository.candidates(row.id, after=1, limit=2)] == [2, 3]
        assert [c.number for c in repository.candidates(row.id, status=CandidateStatus.INFEASIBLE)] == [1]
        assert repository.counts(row.id) == {
            CandidateStatus.SCORED: 1, CandidateStatus.INFEASIBLE: 1, CandidateStatus.PROPOSED: 3,
        }  # fmt: skip
        assert not repository.has_evolved(row.id)
    assert [e.benchmark for e in everything[0].evaluations] == ["words", "sums"]
    assert everything[1].infeasible_reason == "no"
    assert everything[1].settled_at is not None


def test_nothing_is_loaded_behind_ones_back(database: Database) -> None:
    row = add_experiment(database)
    add_candidates(database, row.id, 1)
    with database.reading() as session:
        candidate = Repository(session).candidate(row.id, 0)
        with pytest.raises(InvalidRequestError):
            _ = candidate.evaluations[0].per_item
        with pytest.raises(InvalidRequestError):
            _ = candidate.evaluations[0].margins


def test_a_candidate_that_is_not_there(database: Database) -> None:
    row = add_experiment(database)
    with database.reading() as session, pytest.raises(NotFoundError, match="there is no candidate '7'"):
        Repository(session).candidate(row.id, 7)


def test_events_are_read_on_from_where_one_was(database: Database) -> None:
    one, other = add_experiment(database, name="one"), add_experiment(database, name="other")
    with database.session() as session:
        repository = Repository(session)
        seen = repository.last_event()
        repository.add_event(one.id, "x", {"n": 1})
        repository.add_event(other.id, "x", {"n": 2})
        repository.add_event(None, "x", {"n": 3})
    with database.reading() as session:
        repository = Repository(session)
        assert [event.payload["n"] for event in repository.events(after=seen)] == [1, 2, 3]
        assert [event.payload["n"] for event in repository.events(experiment_id=other.id, after=seen)] == [2]
        assert len(repository.events(after=seen, limit=2)) == 2


def test_no_event_becomes_visible_before_an_older_one(database: Database) -> None:
    writing, seen = threading.Event(), []

    def write_late() -> None:
        with database.session() as session:
            Repository(session).add_event(None, "first", {})
            writing.set()
            time.sleep(0.3)

    thread = threading.Thread(target=write_late)
    thread.start()
    writing.wait(10)
    with database.session() as session:
        Repository(session).add_event(None, "second", {})
    with database.reading() as session:
        seen = [event.kind for event in Repository(session).events()]
    thread.join()
    assert seen == ["first", "second"]


def test_exports_are_queued_listed_and_ended(database: Database) -> None:
    row, other = add_experiment(database), add_experiment(database, name="other")
    with database.session() as session:
        repository = Repository(session)
        first = repository.create_export(row.id, 3, "/out", {"private": True})
        second = repository.create_export(other.id, 4, "hub:me/it", {})
        repository.end_export(first, "succeeded", folder="/out", bytes=5_000_000_000)
    with database.reading() as session:
        repository = Repository(session)
        assert [e.id for e in repository.exports(limit=9)] == [second.id, first.id]
        assert [e.id for e in repository.exports(row.id, limit=9)] == [first.id]
        assert [e.id for e in repository.exports(limit=9, before=second)] == [first.id]
        done = repository.export(first.id)
        assert (done.status, done.bytes, done.ended_at is not None) == ("succeeded", 5_000_000_000, True)
        statuses = [
            e.payload["status"] for e in repository.events(experiment_id=row.id) if "export" in e.payload
        ]
        assert statuses == ["queued", "succeeded"]
        with pytest.raises(NotFoundError):
            repository.export("not an id")


def test_an_answer_is_remembered_once(database: Database) -> None:
    with database.session() as session:
        repository = Repository(session)
        assert repository.answer_given("key") is None
        repository.remember_answer("key", digest="d", status=201, body={"a": 1})
    with database.session() as session:
        found = Repository(session).answer_given("key")
        assert found is not None
        assert (found.digest, found.status, found.body) == ("d", 201, {"a": 1})
    with pytest.raises(ConflictError, match="under way"), database.session() as session:
        Repository(session).remember_answer("key", digest="d", status=201, body={})


def test_of_many_generations_evenly_spread_ones_and_the_last_are_shown(database: Database) -> None:
    row = add_experiment(database)
    with database.session() as session:
        repository = Repository(session)
        for number in range(10):
            summary = GenerationSummary(number, 4 * number, 0.5, 1, 0.1, (number,))
            repository.add_generation(row.id, summary, 1.0)
        assert [point[0] for point in repository.course(row.id, most=100)] == list(range(10))
        assert [point[0] for point in repository.course(row.id, most=4)] == [0, 3, 6, 9]
        last = repository.last_generation(row.id)
    assert last is not None
    assert last.front == (9,)
