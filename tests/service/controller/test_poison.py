"""Controllers that die with a candidate out."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.controller.requests import resume
from service.controller.runner import Runner
from service.experiment.candidate import CandidateStatus
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import Database
from service.store.repository import Repository
from tests.service.crashes import Killed, end_all_leases
from tests.service.scripted_workforce import Mishap, ScriptedWorkforce
from tests.service.small_experiments import add_experiment, final_state, reload
from workers.protocol.messages import Assignment, Interrupted, Workload, never

pytestmark = pytest.mark.faults

OBJECTIVES = ("words", "sums")
SETTINGS = Settings(lease_seconds=600.0)  # so that no heartbeat comes in between
_S = ExperimentStatus


def drive(database: Database, force: ScriptedWorkforce) -> None:
    """Has one controller do all there is to do."""
    runner = Runner(database, force, SETTINGS)
    while runner.run_next():
        pass


class Deadly(ScriptedWorkforce):
    """Takes the controller along whenever it is handed this candidate on this split."""

    def __init__(self, number: int, split: str, *, in_process: bool) -> None:
        super().__init__(benchmarks=OBJECTIVES)
        self.number, self.split, self.in_process = number, split, in_process

    def submit(self, assignment: Assignment) -> None:
        super().submit(assignment)
        if (assignment.number, assignment.split) == (self.number, self.split):
            raise Killed


def deaths_by(database: Database, force: ScriptedWorkforce, *, most: int = 4) -> int:
    """Starts one controller after the other until one does not die; returns how many did."""
    for deaths in range(most):
        try:
            drive(database, force)
        except Killed:
            end_all_leases(database)
        else:
            return deaths
    return most


def test_a_candidate_with_which_two_controllers_died_fails_and_the_search_goes_on(database: Database) -> None:
    undisturbed = add_experiment(database, name="undisturbed")
    drive(database, ScriptedWorkforce(benchmarks=OBJECTIVES, script={5: Mishap()}))
    row = add_experiment(database)
    assert deaths_by(database, Deadly(5, "search", in_process=True)) == 2
    with database.reading() as session:
        failed = Repository(session).candidate(row.id, 5)
    assert (failed.status, failed.failure and failed.failure["code"]) == (CandidateStatus.FAILED, "poison")
    assert final_state(database, row) == final_state(database, undisturbed)


def test_a_finalist_with_which_two_controllers_died_is_examined_no_more(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    assert deaths_by(sqlite_database, Deadly(0, "selection", in_process=True)) == 2
    assert reload(sqlite_database, row).status is _S.SUCCEEDED


class DeadlyParents(ScriptedWorkforce):
    """Takes the controller along whenever it gets ready, while it is told to."""

    def __init__(self) -> None:
        super().__init__(benchmarks=OBJECTIVES)
        self.in_process = self.deadly = True

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        super().prepare(workload, interrupted)
        if self.deadly:
            raise Killed


def test_parents_with_which_two_controllers_died_fail_the_experiment_until_it_is_resumed(
    database: Database,
) -> None:
    row, force = add_experiment(database), DeadlyParents()
    assert deaths_by(database, force) == 2
    failed = reload(database, row)
    assert (failed.status, failed.failure and failed.failure["code"]) == (_S.FAILED, "poison")
    force.deadly = False
    with database.session() as session:
        repository = Repository(session)
        resume(repository, repository.experiment(row.id))
    assert deaths_by(database, force) == 0
    assert reload(database, row).status is _S.SUCCEEDED


def test_workers_of_their_own_processes_are_not_blamed_for_a_controllers_death(
    sqlite_database: Database,
) -> None:
    row = add_experiment(sqlite_database)
    assert deaths_by(sqlite_database, Deadly(5, "search", in_process=False)) == 4
    with sqlite_database.reading() as session:
        assert Repository(session).candidate(row.id, 5).status is CandidateStatus.PROPOSED


def test_a_controller_that_steps_back_leaves_nothing_out(sqlite_database: Database) -> None:
    add_experiment(sqlite_database)

    class Last(ScriptedWorkforce):
        def submit(self, assignment: Assignment) -> None:
            super().submit(assignment)
            if len(self.submitted) == 6:
                runner.stop(0.0)

    runner = Runner(sqlite_database, Last(benchmarks=OBJECTIVES, slots=2), SETTINGS)
    runner.run_next()
    with sqlite_database.reading() as session:
        endings = session.execute(text("SELECT DISTINCT ending FROM attempts")).scalars()
        assert set(endings) == {"answered", "dropped"}
