"""The winner under other conditions: other examples and draws, more and less room for answers."""

from __future__ import annotations

from uuid import uuid5

from evaluators.conditions import CONDITIONS, Conditions
from search_spaces import Recipe
from service.examination.analysis import sensitivity
from service.examination.asking import Asking
from service.experiment.candidate import Candidate
from service.experiment.findings import SensitivityFinding
from service.search.dispatcher import PATIENCE
from service.search.journal import ControlRequest
from service.store.examination_record import ExaminationRecord
from workers.protocol.messages import Assignment, Outcome, Workforce
from workers.protocol.outcomes import poison


def under_other_conditions(
    asking: Asking, winner: Candidate, before: Outcome
) -> dict[str, list[SensitivityFinding]] | ControlRequest:
    """Asks the winner the selection items under other conditions, as far as the budget goes.

    Returns what they changed, by their names; those that were not asked are missing.
    """
    record = asking.record("selection")
    stored = record.recall_varied(winner.number)
    found: dict[str, list[SensitivityFinding]] = {}
    if not isinstance(winner.recipe, Recipe):
        return found
    for conditions in CONDITIONS:
        name = str(conditions)
        if name in stored:
            found[name] = stored[name]
        elif not asking.allows("selection"):
            return found
        else:
            order = _order(asking, winner, winner.recipe, conditions)
            outcome = _answer_to(order, record, asking.workforce)
            if isinstance(outcome, ControlRequest):
                return outcome
            found[name] = list(sensitivity(name, before, outcome))
            record.varied(winner.number, name, outcome, found[name])
        asking.count((winner.number, "selection", name))
    return found


def _order(asking: Asking, winner: Candidate, recipe: Recipe, conditions: Conditions) -> Assignment:
    return Assignment(
        uuid5(winner.id, str(conditions)),
        winner.number,
        recipe,
        "selection",
        timeout=asking.timeout,
        conditions=conditions,
    )


def _answer_to(
    order: Assignment, record: ExaminationRecord, workforce: Workforce
) -> Outcome | ControlRequest:
    """Returns how one assignment ended, or the request that came in between."""
    poisonous = record.dispatched([order], in_process=workforce.in_process)
    if order.candidate in poisonous:
        return poison(order, poisonous[order.candidate])
    workforce.submit(order)
    outcome = None
    while outcome is None or outcome.candidate != order.candidate:
        if (control_request := record.control_request()) is not None:
            workforce.drop()
            return control_request
        outcome = workforce.next_outcome(PATIENCE)
    record.answered(order.candidate, order.split)
    return outcome
