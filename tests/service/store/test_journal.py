from __future__ import annotations

import pickle
from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import event

from evaluators import Score
from search_spaces import Infeasible
from service.errors import ConflictError, LeaseLostError
from service.experiment.candidate import Candidate, CandidateKind, CandidateStatus, FitnessRecord, Timings
from service.experiment.status import ExperimentStatus
from service.search.journal import ControlRequest, GenerationSummary
from service.store.database import Database
from service.store.examination_record import ExaminationRecord
from service.store.journal import REQUEST_INTERVAL, DatabaseJournal
from service.store.leases import acquire_lease
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.store.rows import pack, unpack
from tests.service.scripted_workforce import score_of
from tests.service.small_experiments import add_experiment, reload
from tests.service.store.test_repository import RECIPE
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Scored

PROGRESS = GenerationSummary(0, 2, 0.5, 1, 0.25, (0, 1), (0.1, 0.2))


@pytest.fixture
def row(database: Database) -> ExperimentRow:
    return add_experiment(database)


@pytest.fixture
def journal(database: Database, row: ExperimentRow) -> DatabaseJournal:
    return DatabaseJournal(database, row.id, 0)


def candidates(count: int) -> list[Candidate]:
    return [Candidate(uuid4(), n, 1, (0.1 * n, 3, "ties"), RECIPE) for n in range(count)]


def record(*numbers: int) -> list[FitnessRecord]:
    return [FitnessRecord(number, (0.5,), 0.25) for number in numbers]


def scored(candidate: Candidate) -> Scored:
    scores = (score_of(RECIPE, "words"), score_of(RECIPE, "sums"))
    return Scored(candidate.id, 2, scores, 0.25, 0.5, "worker 1")


def test_what_was_written_is_recalled_as_it_was(journal: DatabaseJournal) -> None:
    first, second, third, fourth = proposed = [
        *candidates(2),
        Candidate(uuid4(), 2, 1, None, RECIPE, "parent: left", kind=CandidateKind.PARENT),
        Candidate(uuid4(), 3, 1, (0.3, 1, "linear"), Infeasible("all weights are 0")),
    ]
    journal.proposed(proposed)
    failed = Failed(
        second.id, 3, Failure("worker_lost", "it died", "look", excerpt="Traceback"), worker="worker 2"
    )
    journal.settled(second, failed, Timings())
    journal.settled(first, scored(first), Timings())
    journal.told(record(0, 1), PROGRESS, 0.5)
    recalled = journal.recall()
    assert [each.candidate for each in recalled] == [first, second, third, fourth]
    assert [each.outcome for each in recalled] == [scored(first), failed, None, None]
    assert [each.told for each in recalled] == [0, 1, None, None]


def test_margins_are_recalled_bit_for_bit_and_go_when_parts_take_their_place(
    journal: DatabaseJournal,
) -> None:
    (candidate,) = candidates(1)
    journal.proposed([candidate])
    margins = tuple(float(np.float32(margin)) for margin in (0.1, -1e-30, 0.0, 1e30, -7 / 3))
    whole = Score("words", "acc,none", 0.5, 0.1, True, (1.0, 0.0, 0.0, 1.0, 0.0), margins=margins)
    outcome = Scored(candidate.id, 1, (whole, score_of(RECIPE, "sums", "test")), 0.1, 0.2, "w")
    journal.settled(candidate, outcome, Timings())
    assert journal.recall()[0].outcome == outcome
    parts = replace(outcome, scores=tuple(replace(score, margins=()) for score in outcome.scores))
    journal.reevaluated(candidate, 1, parts, Timings())
    assert journal.recall()[0].outcome == parts


def test_the_order_of_telling_goes_on_from_generation_to_generation(journal: DatabaseJournal) -> None:
    journal.proposed(candidates(5))
    journal.told(record(1, 0), PROGRESS, 0.0)
    journal.told(record(4, 2, 3), PROGRESS, 0.0)
    assert [each.told for each in journal.recall()] == [1, 0, 3, 4, 2]


def test_infeasible_candidates_end_when_they_are_proposed(
    database: Database, journal: DatabaseJournal
) -> None:
    journal.proposed([Candidate(uuid4(), 0, 1, (0.0,), Infeasible("all weights are 0"))])
    journal.commit()
    with database.reading() as session:
        found = Repository(session).candidate(journal.experiment_id, 0)
    assert (found.status, found.infeasible_reason) == (CandidateStatus.INFEASIBLE, "all weights are 0")
    assert found.settled_at is not None
    assert found.recipe is None


def test_a_candidate_ends_once(journal: DatabaseJournal) -> None:
    candidate = candidates(1)[0]
    journal.proposed([candidate])
    journal.settled(candidate, scored(candidate), Timings())
    journal.commit()
    journal.settled(candidate, scored(candidate), Timings())
    with pytest.raises(ConflictError, match="candidate 0 has ended before"):
        journal.commit()


def test_what_is_noted_between_two_commits_is_one_transaction(journal: DatabaseJournal) -> None:
    first, second, third = candidates(3)
    journal.proposed([first, second])
    journal.commit()
    journal.settled(second, scored(second), Timings())
    journal.told(record(1), PROGRESS, 0.5)
    journal.proposed([third])
    journal.settled(second, scored(second), Timings())  # no candidate ends twice: nothing of all this counts
    with pytest.raises(ConflictError, match="candidate 1 has ended before"):
        journal.commit()
    assert [(each.outcome, each.told) for each in journal.recall()] == [(None, None)] * 2


def test_of_told_candidates_recipes_and_items_are_read_when_they_are_asked_for(
    sqlite_database: Database,
) -> None:
    database = sqlite_database
    journal = DatabaseJournal(database, add_experiment(database).id, 0)
    first, second = candidates(2)
    journal.proposed([first, second])
    journal.settled(first, scored(first), Timings())
    journal.told(record(0), PROGRESS, 0.5)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    journal.commit()
    told, open_one = DatabaseJournal(database, journal.experiment_id, 0).recall()
    assert told.candidate.digest == RECIPE.digest
    assert not any("CAST(candidates.recipe" in statement for statement in statements)
    assert told.candidate == first
    assert any("CAST(candidates.recipe" in statement for statement in statements)
    assert open_one.candidate == second
    assert isinstance(told.outcome, Scored)
    score = told.outcome.scores[0]
    assert type(pickle.loads(pickle.dumps(score))) is Score
    assert score == scored(first).scores[0] == pickle.loads(pickle.dumps(score))
    assert replace(score, value=0.5).per_item == scored(first).scores[0].per_item


def test_a_later_controller_goes_on_with_the_order_of_telling(
    database: Database, row: ExperimentRow, journal: DatabaseJournal
) -> None:
    first, second, third = proposed = candidates(3)
    journal.proposed(proposed)
    for candidate in (first, second):
        journal.settled(candidate, scored(candidate), Timings(ask=0.125))
    journal.told(record(0), PROGRESS, 0.5)
    journal.commit()
    later = DatabaseJournal(database, row.id, 0)
    later.settled(third, scored(third), Timings())
    later.told(record(1), None, 0.25)
    later.told(record(2), None, 0.25)
    assert [each.told for each in later.recall()] == [0, 1, 2]
    with database.reading() as session:
        seconds = Repository(session).candidate(row.id, 1).seconds
    assert (seconds["ask"], seconds["tell"]) == (0.125, 0.25)


def test_the_seconds_that_a_candidate_cost_are_added_up(database: Database, journal: DatabaseJournal) -> None:
    first, second = candidates(2)
    journal.proposed([first, second])
    journal.settled(first, scored(first), Timings(ask=0.125, dispatch=0.0625, worked=0.75))
    journal.commit()
    journal.told(record(0, 1), PROGRESS, 0.5)
    journal.commit()
    with database.reading() as session:
        seconds = Repository(session).candidate(journal.experiment_id, 0).seconds
    store = seconds.pop("store")
    assert seconds == {
        "ask": 0.125,
        "merge": 0.25,
        "evaluate": 0.5,
        "dispatch": 0.0625,
        "tell": 0.25,
        "worked": 0.75,
    }
    assert 0 < store < 5


def test_a_generation_that_was_told_is_an_event_with_the_front(
    database: Database, row: ExperimentRow, journal: DatabaseJournal
) -> None:
    journal.proposed(candidates(2))
    journal.told(record(0, 1), PROGRESS, 0.5)
    journal.commit()
    with database.reading() as session:
        repository = Repository(session)
        event = repository.events(experiment_id=row.id)[-1]
        point = repository.generations(row.id)[0]
    again = reload(database, row)
    assert event.kind == "generation.told"
    assert event.payload == {
        "generation": 0,
        "settled": 2,
        "best": 0.5,
        "best_number": 1,
        "hypervolume": 0.25,
        "front": [0, 1],
        "seconds": again.search_seconds,
    }
    assert (point.hypervolume, point.front) == (0.25, (0, 1))
    assert again.reference == [0.1, 0.2]


def test_every_write_of_a_controller_that_lost_the_lease_is_refused(
    database: Database, row: ExperimentRow, journal: DatabaseJournal
) -> None:
    first, second = candidates(2)
    journal.proposed([first])
    journal.commit()
    with database.session() as session:
        acquire_lease(session, row.id, "another", seconds=60.0)
    for write in (
        lambda: journal.proposed([second]),
        lambda: journal.settled(first, scored(first), Timings()),
        lambda: journal.told(record(0), PROGRESS, 0.0),
        lambda: ExaminationRecord(journal, "test").settled(first, scored(first), Timings()),
        journal.control_request,
    ):
        with pytest.raises(LeaseLostError, match="another controller took experiment"):  # noqa: PT012
            write()
            journal.commit()
    recalled = DatabaseJournal(database, row.id, 1).recall()
    assert [(each.candidate.number, each.outcome, each.told) for each in recalled] == [(0, None, None)]


def test_what_people_request_is_seen_soon(
    database: Database, row: ExperimentRow, journal: DatabaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("service.store.journal.monotonic", lambda: clock[0])
    for status, control_request in (
        (ExperimentStatus.RUNNING, None),
        (ExperimentStatus.PAUSING, ControlRequest.PAUSE),
        (ExperimentStatus.CANCELLING, ControlRequest.CANCEL),
    ):
        before = journal.control_request()
        with database.session() as session:
            repository = Repository(session)
            repository.move(repository.experiment(row.id), status)
        assert journal.control_request() is before  # it does not ask the database every time
        clock[0] += REQUEST_INTERVAL
        assert journal.control_request() is control_request


def test_a_controller_that_shuts_down_asks_the_run_to_stop(database: Database, row: ExperimentRow) -> None:
    assert (
        DatabaseJournal(database, row.id, 0, stopping=lambda: True).control_request() is ControlRequest.STOP
    )


def test_examined_candidates_keep_their_status_and_gain_scores(
    database: Database, row: ExperimentRow, journal: DatabaseJournal
) -> None:
    first, second = candidates(2)
    journal.proposed([first, second])
    for candidate in (first, second):
        journal.settled(candidate, scored(candidate), Timings())
    journal.commit()
    record = ExaminationRecord(journal, "selection")
    record.settled(first, scored(first), Timings())
    record.settled(second, Failed(second.id, 1, Failure("timeout", "too slow", "wait longer")), Timings())
    assert list(journal.recall_split("selection")) == [0]
    assert list(journal.recall_split("test")) == []
    with database.reading() as session:
        repository = Repository(session)
        assert repository.counts(row.id) == {CandidateStatus.SCORED: 2}
        events = [
            e.payload for e in repository.events(experiment_id=row.id) if e.kind == "candidate.examined"
        ]
    assert events[0] == {"number": 0, "split": "selection"}
    assert events[1]["failure"]["code"] == "timeout"


def test_item_scores_are_kept_to_single_precision() -> None:
    assert unpack(pack((0.0, 1.0, 0.5))) == (0.0, 1.0, 0.5)
    assert unpack(pack((0.1,)))[0] == pytest.approx(0.1, rel=1e-6)
    assert unpack(pack(())) == ()
