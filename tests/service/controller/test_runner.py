"""The runner over real databases and a scripted workforce."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.controller.runner import Runner
from service.errors import ReplayMismatchError
from service.experiment.candidate import CandidateStatus
from service.experiment.status import ExperimentStatus
from service.optimizers import OPTIMIZERS
from service.settings import Settings
from service.store.database import Database
from service.store.journal import REQUEST_INTERVAL
from service.store.models import ExperimentRow
from service.store.repository import Repository
from tests.databases import fresh_database
from tests.service.crashes import Fuse, Killed, MortalWorkforce, end_all_leases, mortal
from tests.service.scripted_workforce import LOST, Mishap, ScriptedWorkforce
from tests.service.small_experiments import (
    EVERY_OPTIMIZER,
    add_experiment,
    final_state,
    reload,
    small_spec,
    with_optimizer,
)
from tests.service.soundness import broken
from workers.errors import PreparationError
from workers.protocol.messages import Assignment

pytestmark = pytest.mark.faults

OBJECTIVES = ("words", "sums")
SETTINGS = Settings(lease_seconds=600.0)  # so that no heartbeat comes in between
ONE_OBJECTIVE = {"objectives": [{"task": "words"}]}
_S = ExperimentStatus


def workforce(**options: Any) -> ScriptedWorkforce:
    return ScriptedWorkforce(benchmarks=OBJECTIVES, **options)


def drive(database: Database, force: ScriptedWorkforce | None = None) -> None:
    """Has one controller do all there is to do."""
    runner = Runner(database, force or workforce(), SETTINGS)
    while runner.run_next():
        pass


def move(database: Database, row: ExperimentRow, status: ExperimentStatus) -> None:
    with database.session() as session:
        repository = Repository(session)
        repository.move(repository.experiment(row.id), status)


def control_request(database: Database, row: ExperimentRow, status: ExperimentStatus) -> None:
    """Asks something of a running experiment, and waits until its controller looks again."""
    move(database, row, status)
    time.sleep(REQUEST_INTERVAL)


def break_down() -> None:
    raise RuntimeError("a bug")


class Interfering(ScriptedWorkforce):
    """Does something to the world when it is handed its n-th assignment."""

    def __init__(self, place: int, deed: Any) -> None:
        super().__init__(benchmarks=OBJECTIVES)
        self.place, self.deed = place, deed

    def submit(self, assignment: Assignment) -> None:
        super().submit(assignment)
        if len(self.submitted) == self.place:
            self.deed()


def test_an_experiment_is_searched_examined_and_succeeds(database: Database) -> None:
    row = add_experiment(database)
    drive(database)
    state = final_state(database, row)
    assert state["status"] == "succeeded"
    assert {c["status"] for c in state["candidates"]} == {"scored"}
    assert [c["told"] for c in state["candidates"]] == list(range(12))
    assert set(state["winner"]["optimism"]) == set(OBJECTIVES)
    assert len(state["reference"]) == 2
    assert [point.generation for point in state["generations"]] == [0, 1, 2]
    again = reload(database, row)
    assert again.started_at is not None
    assert again.ended_at is not None
    assert again.search_seconds > 0
    assert again.lease_owner is None


def test_everything_that_happened_is_an_event(database: Database) -> None:
    row = add_experiment(database)
    drive(database)
    with database.reading() as session:
        events = Repository(session).events(experiment_id=row.id)
    kinds = [event.kind for event in events]
    statuses = [event.payload["status"] for event in events if event.kind == "experiment.status"]
    assert kinds[0] == "experiment.created"
    assert statuses == ["running", "examining", "succeeded"]
    assert kinds.count("candidate.settled") == 12
    assert kinds.count("generation.told") == 3
    assert kinds[-2:] == ["examination.done", "experiment.status"]
    assert [event.id for event in events] == sorted(event.id for event in events)


def test_what_a_candidate_cost_is_noted(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    drive(sqlite_database)
    with sqlite_database.reading() as session:
        candidates = Repository(session).candidates(row.id)
    for candidate in candidates:
        assert set(candidate.seconds) == {
            "ask",
            "merge",
            "evaluate",
            "dispatch",
            "store",
            "tell",
            "worked",
        }
        assert candidate.seconds["merge"] == 0.002
        assert candidate.seconds["evaluate"] == 0.01
        assert all(seconds >= 0 for seconds in candidate.seconds.values())


@pytest.mark.parametrize("algorithm", EVERY_OPTIMIZER)
def test_killed_anywhere_a_run_ends_as_if_nothing_had_happened(
    sqlite_database: Database, algorithm: str
) -> None:
    population = max(3, OPTIMIZERS[algorithm].smallest_population)
    kill_everywhere(sqlite_database, stride=19, **with_optimizer(algorithm, population=population))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"rotation": {"items": 16, "elites": 2}}, marks=pytest.mark.slow),
        {"rotation": {"items": 32, "elites": 1}, "racing": {"z": 0.5, "batch": 4}, **ONE_OBJECTIVE},
        {"halving": {"first": 8}, **ONE_OBJECTIVE},
    ],
    ids=["rotation", "rotation and races", "halving"],
)
def test_killed_anywhere_a_run_that_asks_parts_ends_as_if_nothing_had_happened(
    sqlite_database: Database, changes: dict[str, Any]
) -> None:
    kill_everywhere(sqlite_database, stride=23, optimizer={"algorithm": "cma_es", "population": 3}, **changes)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_every_single_step_a_run_ends_as_if_nothing_had_happened(sqlite_database: Database) -> None:
    kill_everywhere(sqlite_database, stride=1, optimizer={"algorithm": "cma_es", "population": 3})


def test_killed_anywhere_a_run_on_postgres_ends_as_if_nothing_had_happened(new_postgres: Any) -> None:
    with fresh_database(new_postgres(), judge=True) as database:
        kill_everywhere(database, stride=29, optimizer={"algorithm": "nsga2", "population": 3})


def kill_everywhere(database: Database, *, stride: int, **changes: Any) -> None:
    """Kills a controller at its n-th step, for n = 1, 1 + stride ..., until it dies no more."""
    changes |= {"budget": {"candidates": 6}}
    undisturbed = add_experiment(database, name="undisturbed", **changes)
    drive(database, workforce(slots=2))
    expected = final_state(database, undisturbed)
    assert expected["status"] == "succeeded"
    died = True
    for place in itertools.count(1, stride):
        row = add_experiment(database, name=f"killed at step {place}", **changes)
        fuse = Fuse(place)
        try:
            with mortal(database, fuse):
                drive(database, MortalWorkforce(fuse, slots=2, benchmarks=OBJECTIVES))
        except Killed:
            end_all_leases(database)
        else:
            died = False
        drive(database, workforce(slots=3, order="any"))
        assert final_state(database, row) == expected, f"killed at step {place}"
        if not died:
            assert place > 80
            assert broken(database, replay=False) == {}
            return


def test_killed_again_and_again_a_run_still_ends_as_if_nothing_had_happened(
    sqlite_database: Database,
) -> None:
    undisturbed = add_experiment(sqlite_database, name="undisturbed")
    drive(sqlite_database)
    row = add_experiment(sqlite_database, name="killed often")
    deaths = 0
    while reload(sqlite_database, row).status is not _S.SUCCEEDED and deaths < 50:
        fuse = Fuse(48)  # a few candidates per life
        try:
            with mortal(sqlite_database, fuse):
                drive(sqlite_database, MortalWorkforce(fuse, benchmarks=OBJECTIVES))
        except Killed:
            deaths += 1
        end_all_leases(sqlite_database)
    assert deaths > 3
    assert final_state(sqlite_database, row) == final_state(sqlite_database, undisturbed)


def test_a_failed_candidate_does_not_stop_an_experiment(database: Database) -> None:
    row = add_experiment(database)
    drive(database, workforce(script={5: Mishap("merge_failed"), (6, 1): LOST}))
    with database.reading() as session:
        repository = Repository(session)
        failed, lost = repository.candidate(row.id, 5), repository.candidate(row.id, 6)
    assert reload(database, row).status is _S.SUCCEEDED
    assert failed.status is CandidateStatus.FAILED
    assert failed.failure == {
        "code": "merge_failed",
        "cause": "it was scripted",
        "remedy": "look at the script",
        "excerpt": "...",
    }
    assert (lost.status, lost.attempts) == (CandidateStatus.SCORED, 2)


def test_too_many_failures_end_an_experiment_and_say_why(database: Database) -> None:
    row = add_experiment(database, budget={"candidates": 8, "failures": 1})
    drive(database, workforce(script={4: Mishap(), 5: Mishap()}))
    again = reload(database, row)
    assert again.status is _S.FAILED
    assert again.failure is not None
    assert again.failure["code"] == "too_many_failures"
    assert "2 candidates failed, 1 are allowed" in again.failure["cause"]
    assert again.failure["remedy"] == "look at the script"


def test_an_experiment_without_any_scored_candidate_fails(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database, budget={"candidates": 4, "failures": 10})
    drive(sqlite_database, workforce(script={n: Mishap() for n in range(4, 8)}))
    again = reload(sqlite_database, row)
    assert (again.status, again.failure and again.failure["code"]) == (_S.FAILED, "no_feasible_candidate")


def test_baselines_that_reach_the_target_alone_end_in_a_winner(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database, budget={"candidates": 4, "target": 0.001})
    drive(sqlite_database)
    again = reload(sqlite_database, row)
    assert again.status is _S.SUCCEEDED
    assert again.winner is not None
    assert again.winner["number"] < 4


def test_a_winner_does_not_hide_why_the_search_ended(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    drive(sqlite_database)
    assert reload(sqlite_database, row).reason == "budget spent"


def test_workers_that_cannot_get_ready_end_an_experiment_and_say_why(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    force = workforce()
    force.prepare_error = PreparationError("/models/left", "no memory is left", "use a larger machine")
    drive(sqlite_database, force)
    again = reload(sqlite_database, row)
    assert again.status is _S.FAILED
    assert again.failure == {
        "code": "preparation_failed",
        "cause": "/models/left: no memory is left",
        "remedy": "use a larger machine",
    }


def test_a_mistake_in_the_program_ends_the_experiment_and_not_the_runner(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    other = add_experiment(sqlite_database, name="other")
    force = Interfering(3, break_down)
    drive(sqlite_database, force)
    again = reload(sqlite_database, row)
    assert (again.status, again.failure and again.failure["code"]) == (_S.FAILED, "internal_error")
    assert reload(sqlite_database, other).status is _S.SUCCEEDED


def test_a_database_that_goes_away_ends_nothing(sqlite_database: Database) -> None:
    undisturbed = add_experiment(sqlite_database, name="undisturbed")
    drive(sqlite_database)
    row = add_experiment(sqlite_database)

    def lose_the_database() -> None:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))

    runner = Runner(sqlite_database, Interfering(6, lose_the_database), SETTINGS)
    runner.start()
    wait_for(lambda: reload(sqlite_database, row).status is _S.SUCCEEDED)
    assert runner.is_alive
    runner.stop()
    assert final_state(sqlite_database, row) == final_state(sqlite_database, undisturbed)


def test_a_failed_experiment_can_be_resumed(sqlite_database: Database) -> None:
    undisturbed = add_experiment(sqlite_database, name="undisturbed")
    drive(sqlite_database)
    row = add_experiment(sqlite_database)
    drive(sqlite_database, Interfering(6, break_down))
    assert reload(sqlite_database, row).status is _S.FAILED
    move(sqlite_database, row, _S.QUEUED)
    drive(sqlite_database)
    assert final_state(sqlite_database, row) == final_state(sqlite_database, undisturbed)


def test_pausing_and_resuming_changes_nothing_in_the_end(database: Database) -> None:
    undisturbed = add_experiment(database, name="undisturbed")
    drive(database)
    row = add_experiment(database)
    drive(database, Interfering(6, lambda: control_request(database, row, _S.PAUSING)))
    assert reload(database, row).status is _S.PAUSED
    with database.reading() as session:
        settled = Repository(session).counts(row.id)[CandidateStatus.SCORED]
    assert 6 <= settled < 12
    move(database, row, _S.QUEUED)
    drive(database)
    assert final_state(database, row) == final_state(database, undisturbed)


def test_resuming_before_the_pause_took_hold_goes_on(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)

    def pause_and_resume() -> None:
        control_request(sqlite_database, row, _S.PAUSING)
        move(sqlite_database, row, _S.RUNNING)

    drive(sqlite_database, Interfering(6, pause_and_resume))
    assert reload(sqlite_database, row).status is _S.SUCCEEDED


def test_cancelling_ends_every_candidate(database: Database) -> None:
    row = add_experiment(database)
    force = Interfering(6, lambda: control_request(database, row, _S.CANCELLING))
    drive(database, force)
    assert reload(database, row).status is _S.CANCELLED
    with database.reading() as session:
        counts = Repository(session).counts(row.id)
    assert counts[CandidateStatus.CANCELLED] > 0
    assert CandidateStatus.PROPOSED not in counts


@pytest.mark.parametrize("place", [13, 19])  # while the selection, and the test split are examined
def test_cancelling_during_the_examination(sqlite_database: Database, place: int) -> None:
    row = add_experiment(sqlite_database)
    force = Interfering(place, lambda: control_request(sqlite_database, row, _S.CANCELLING))
    drive(sqlite_database, force)
    again = reload(sqlite_database, row)
    assert (again.status, again.winner) == (_S.CANCELLED, None)


@pytest.mark.parametrize(
    ("control_request", "fulfilled"), [(_S.PAUSING, _S.PAUSED), (_S.CANCELLING, _S.CANCELLED)]
)
def test_requests_that_came_while_no_controller_was_there_are_fulfilled(
    sqlite_database: Database, control_request: ExperimentStatus, fulfilled: ExperimentStatus
) -> None:
    row = add_experiment(sqlite_database)
    move(sqlite_database, row, _S.RUNNING)
    move(sqlite_database, row, control_request)
    force = workforce()
    drive(sqlite_database, force)
    assert reload(sqlite_database, row).status is fulfilled
    assert force.prepared == []


def test_a_time_budget_counts_over_resumes(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database, budget={"candidates": 8, "seconds": 1000.0})
    drive(sqlite_database, Interfering(9, lambda: control_request(sqlite_database, row, _S.PAUSING)))
    with sqlite_database.session() as session:
        session.execute(text("UPDATE experiments SET status = 'queued', search_seconds = 1000"))
    drive(sqlite_database)
    again = reload(sqlite_database, row)
    assert again.status is _S.SUCCEEDED
    with sqlite_database.reading() as session:
        assert len(Repository(session).candidates(row.id)) == 12  # the one under way was finished


def test_a_genome_that_would_be_proposed_differently_now_ends_the_run(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    drive(sqlite_database, Interfering(6, lambda: control_request(sqlite_database, row, _S.PAUSING)))
    with sqlite_database.session() as session:
        session.execute(text("UPDATE candidates SET genome = '[0.1, 0.1, 0.1, 0.1]' WHERE number = 6"))
    move(sqlite_database, row, _S.QUEUED)
    drive(sqlite_database)
    again = reload(sqlite_database, row)
    assert (again.status, again.failure and again.failure["code"]) == (_S.FAILED, ReplayMismatchError.code)


def test_of_two_controllers_one_drives(database: Database) -> None:
    row = add_experiment(database)
    forces = [workforce(), workforce()]
    runners = [Runner(database, force, SETTINGS) for force in forces]
    threads = [threading.Thread(target=runner.run_next) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drive(database)
    assert reload(database, row).status is _S.SUCCEEDED
    assert sorted(len(force.prepared) for force in forces) == [0, 1]


def test_a_controller_whose_lease_was_taken_steps_back_and_the_other_finishes(database: Database) -> None:
    undisturbed = add_experiment(database, name="undisturbed")
    drive(database)
    row = add_experiment(database)
    force = Interfering(6, lambda: None)
    other = workforce()

    def take_over() -> None:
        end_all_leases(database)
        drive(database, other)

    force.deed = take_over
    drive(database, force)
    assert other.prepared
    assert len(force.submitted) == 6
    assert final_state(database, row) == final_state(database, undisturbed)


def test_a_runner_on_its_thread_drives_what_it_is_woken_for_and_stops_at_once(database: Database) -> None:
    runner = Runner(database, workforce(), SETTINGS)
    runner.start()
    assert runner.is_alive
    row = add_experiment(database)
    runner.wake()
    wait_for(lambda: reload(database, row).status is _S.SUCCEEDED)
    runner.stop()
    assert not runner.is_alive


def test_after_a_clean_stop_the_next_controller_goes_on_at_once(database: Database) -> None:
    undisturbed = add_experiment(database, name="undisturbed")
    drive(database)
    row = add_experiment(database)
    halfway = threading.Event()

    class Slow(ScriptedWorkforce):
        def next_outcome(self, timeout: float) -> Any:
            if len(self.submitted) == 7:
                halfway.set()
                time.sleep(0.05)
                return None  # it takes hours
            return super().next_outcome(timeout)

    runner = Runner(database, Slow(benchmarks=OBJECTIVES), SETTINGS)
    runner.start()
    assert halfway.wait(10)
    runner.stop()
    again = reload(database, row)
    assert (again.status, again.lease_owner) == (_S.RUNNING, None)
    drive(database)
    assert final_state(database, row) == final_state(database, undisturbed)


def test_after_a_kill_the_next_controller_waits_no_longer_than_the_lease(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    short = Settings(lease_seconds=3.0)
    fuse = Fuse(25)
    with pytest.raises(Killed), mortal(sqlite_database, fuse):
        Runner(sqlite_database, MortalWorkforce(fuse, benchmarks=OBJECTIVES), short).run_next()
    died = time.monotonic()
    runner = Runner(sqlite_database, workforce(), short)
    assert not runner.run_next()  # the dead one's lease still holds
    runner.start()
    wait_for(lambda: reload(sqlite_database, row).epoch == 2)
    assert time.monotonic() - died < 3 + 2
    wait_for(lambda: reload(sqlite_database, row).status is _S.SUCCEEDED)
    runner.stop()


def test_the_workload_holds_the_base_and_all_that_scores_depend_on(sqlite_database: Database) -> None:
    add_experiment(sqlite_database, small_spec(dtype="bfloat16", batch_size=16, tasks_path="/tasks"))
    force = workforce()
    drive(sqlite_database, force)
    workload = force.prepared[0]
    assert [str(parent) for parent in workload.parents] == ["/models/left", "/models/right", "/models/base"]
    assert [benchmark.include_path for benchmark in workload.benchmarks] == ["/tasks", "/tasks"]
    assert (workload.dtype, workload.batch_size) == ("bfloat16", 16)
    assert {assignment.recipe.dtype for assignment in force.submitted} == {"bfloat16"}


def wait_for(condition: Any, *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
