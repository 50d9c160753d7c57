from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import pytest

from evaluators import Score
from search_spaces import Infeasible, Recipe
from service.experiment.candidate import Candidate, Timings
from service.search.dispatcher import Dispatcher
from service.search.journal import ControlRequest
from tests.service.scripted_workforce import LOST, Mishap, ScriptedWorkforce
from workers.protocol.failure import Failure
from workers.protocol.messages import Assignment, Failed, Outcome, Scored


class Notes:
    """A record in a list."""

    def __init__(self) -> None:
        self.settled_numbers: list[int] = []
        self.timings: list[Timings] = []
        self.requested: ControlRequest | None = None

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        self.settled_numbers.append(candidate.number)
        self.timings.append(timings)

    def known(self, candidate: Candidate) -> tuple[Score, ...]:
        return ()

    def dispatched(self, assignments: Sequence[Assignment], *, in_process: bool) -> Mapping[UUID, int]:
        return {}

    def answered(self, assignment: UUID, split: str) -> None:
        pass

    def commit(self) -> None:
        pass

    def control_request(self) -> ControlRequest | None:
        return self.requested


def candidate(number: int, *, weight: float | None = None) -> Candidate:
    source = {"parent": "/m/a", "parameters": {"weight": [{"value": number if weight is None else weight}]}}
    recipe = Recipe.model_validate({"method": "linear", "slices": [{"sources": [source]}]})
    return Candidate(uuid4(), number, 1, (float(number),), recipe)


def test_as_many_assignments_are_out_as_there_are_workers() -> None:
    class Counting(ScriptedWorkforce):
        most = 0

        def submit(self, assignment: Assignment) -> None:
            super().submit(assignment)
            self.most = max(self.most, len(self.under_way))

    force = Counting(slots=3)
    Dispatcher(force, Notes(), timeout=1.0).settle([candidate(n) for n in range(8)], {})
    assert force.most == 3


def test_the_split_the_timeout_and_the_attempt_are_on_every_assignment() -> None:
    force = ScriptedWorkforce(script={(0, 1): LOST})
    Dispatcher(force, Notes(), timeout=5.0, split="test").settle([candidate(0)], {})
    assert [(a.split, a.timeout, a.attempt) for a in force.submitted] == [("test", 5.0, 1), ("test", 5.0, 2)]


def test_what_is_known_is_not_asked_again() -> None:
    force, notes = ScriptedWorkforce(), Notes()
    first, second = candidate(0), candidate(1)
    known: dict[int, Outcome] = {0: Failed(first.id, 1, Failure("x", "y", "z"))}
    outcomes = Dispatcher(force, notes, timeout=1.0).settle([first, second], known)
    assert isinstance(outcomes, dict)
    assert outcomes[0] is known[0]
    assert (len(force.submitted), notes.settled_numbers) == (1, [1])


def test_infeasible_candidates_have_no_outcome() -> None:
    infeasible = Candidate(uuid4(), 0, 1, (0.0,), Infeasible("no"))
    assert Dispatcher(ScriptedWorkforce(), Notes(), timeout=1.0).settle([infeasible], {}) == {}


def test_a_twin_waits_for_its_siblings_scores() -> None:
    force = ScriptedWorkforce(slots=4)
    twins = [candidate(n, weight=0.5) for n in range(3)]
    outcomes = Dispatcher(force, Notes(), timeout=1.0).settle(twins, {})
    assert isinstance(outcomes, dict)
    assert len(force.submitted) == 1
    assert [outcome.candidate for outcome in outcomes.values()] == [twin.id for twin in twins]


def test_a_twin_of_a_failed_candidate_gets_its_own_chance() -> None:
    force = ScriptedWorkforce(slots=4, script={0: Mishap()})
    outcomes = Dispatcher(force, Notes(), timeout=1.0).settle(
        [candidate(0, weight=1), candidate(1, weight=1)], {}
    )
    assert isinstance(outcomes, dict)
    assert isinstance(outcomes[0], Failed)
    assert isinstance(outcomes[1], Scored)


def test_answers_to_assignments_of_another_time_are_passed_over() -> None:
    force = ScriptedWorkforce()
    force.submit(Assignment(uuid4(), 99, candidate(9).recipe))  # type: ignore[arg-type]
    notes = Notes()
    outcomes = Dispatcher(force, notes, timeout=1.0).settle([candidate(0)], {})
    assert isinstance(outcomes, dict)
    assert list(outcomes) == notes.settled_numbers == [0]


@pytest.mark.parametrize("control_request", [ControlRequest.CANCEL, ControlRequest.STOP])
def test_cancelling_and_stopping_drop_everything(control_request: ControlRequest) -> None:
    notes = Notes()

    class Late(ScriptedWorkforce):
        def next_outcome(self, timeout: float) -> Outcome | None:
            notes.requested = control_request
            return None

    force = Late(slots=2)
    assert Dispatcher(force, notes, timeout=1.0).settle([candidate(0), candidate(1)], {}) is control_request
    assert force.under_way == []
    assert notes.settled_numbers == []


def test_answers_that_are_there_are_taken_together_and_become_durable_before_the_next_wait() -> None:
    class Committing(Notes):
        commits: list[int]

        def commit(self) -> None:
            self.commits.append(len(self.settled_numbers))

    notes, force = Committing(), ScriptedWorkforce(slots=3)
    notes.commits, force.at_once = [], True
    Dispatcher(force, notes, timeout=1.0).settle([candidate(n) for n in range(6)], {})
    assert notes.commits == [0, 3, 6]


def test_the_time_on_the_wire_is_what_the_work_itself_did_not_take() -> None:
    notes = Notes()
    Dispatcher(ScriptedWorkforce(), notes, timeout=1.0).settle([candidate(0)], {}, ask_seconds=0.5)
    assert notes.timings[0].ask == 0.5
    assert notes.timings[0].dispatch >= 0
