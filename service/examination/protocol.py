"""The examination: what the finalists are worth on items that the optimizer never saw.

The selection split, with the search items, picks the winner among the best candidates, the front and the
baselines (`choice.py`); then the test split is read once, for the report.  A baseline may win: then the
search found nothing clearly better, and the report says so.  A candidate that broke a constraint in the
search wins only where all did.
Likely winners are asked first; what is clearly worse than the winner on the selection items is not asked
the test items, and what the budget leaves out is said.  Nothing of this is ever told to the optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluators.conditions import CONDITIONS
from search_spaces.genome import Variable
from service.examination.analysis import Evidence, findings
from service.examination.asking import Asking
from service.examination.choice import winner_of
from service.examination.distribution_mean import settle_added
from service.examination.finalists import best_of, finalists, likely_first, mean_of, optimism, violations_of
from service.examination.other_conditions import under_other_conditions
from service.examination.stopping import Stop, stops
from service.experiment.candidate import Candidate, CandidateKind, Remembered
from service.experiment.objectives import Objectives
from service.experiment.spec import ExperimentSpec
from service.search.journal import ControlRequest
from service.store.journal import DatabaseJournal
from workers.protocol.messages import Outcome, Scored, Workforce

LEAST = 2  # asked whatever the budget: the likeliest winner and the best parent


@dataclass(frozen=True, slots=True)
class Winner:
    """Who won, and by how much the search flattered it.

    Attributes:
        optimism: Search fitness minus test fitness, per objective; empty where the test failed.
        examination: `service.experiment.findings.ExaminationFindings` as JSON.
    """

    number: int
    optimism: dict[str, float]
    examination: dict[str, Any] = field(default_factory=dict)


def examine(
    journal: DatabaseJournal,
    workforce: Workforce,
    spec: ExperimentSpec,
    objectives: Objectives,
    variables: Sequence[Variable] = (),
) -> Winner | ControlRequest | None:
    """Returns the winner, None when no finalist could be scored, or the request that came in between.

    What was examined before a crash is not examined again.  The variables are those of the search space.
    """
    names = [objective.name for objective in objectives]
    control_request = settle_added(journal, workforce, timeout=spec.evaluation_timeout, benchmarks=names)
    if control_request is not None:
        return control_request
    remembered = journal.recall()
    chosen = finalists(remembered, spec.weights, spec.examination.finalists)
    order = likely_first(remembered, chosen, spec.weights)
    asking = Asking(journal, workforce, spec, objectives)
    asking.foresee((len(order), "selection"), (len(order), "test"), (len(CONDITIONS), "selection"))
    reserved = LEAST * asking.items("test")
    selection = asking.on("selection", order, always=LEAST, reserved=reserved)
    if isinstance(selection, ControlRequest):
        return selection
    search = {r.candidate.number: r.outcome for r in remembered if r.outcome is not None}
    broken = violations_of(remembered) if spec.constraints else {}
    number = winner_of(order, search, selection, spec.weights, broken)
    asked = (remembered, order, selection)
    return None if number is None else _report(asking, spec, objectives, asked, number, variables=variables)


def _report(
    asking: Asking,
    spec: ExperimentSpec,
    objectives: Objectives,
    asked: tuple[Sequence[Remembered], Sequence[Candidate], Mapping[int, Outcome]],
    number: int,
    *,
    variables: Sequence[Variable],
) -> Winner | ControlRequest:
    """Asks the winner and those near it the test items, and the winner under other conditions."""
    remembered, order, selection = asked
    stopped = stops(selection, order, number, _best_recipe(selection, order, spec.weights))
    tested = _test_order(selection, order, spec.weights, number, stopped)
    asking.foresee((len(tested), "test"), (len(CONDITIONS), "selection"))
    asking.record("test").open([candidate.number for candidate in tested])
    test = asking.on("test", tested, always=LEAST)
    if isinstance(test, ControlRequest):
        return test
    winner = next(candidate for candidate in order if candidate.number == number)
    varied = under_other_conditions(asking, winner, selection[number])
    if isinstance(varied, ControlRequest):
        return varied
    search = {r.candidate.number: r.outcome for r in remembered if r.outcome is not None}
    evidence = Evidence(
        number,
        order,
        {"search": search, "selection": selection, "test": test},
        [finding for each in varied.values() for finding in each],
        stopped=stopped,
        unvaried=tuple(str(one) for one in CONDITIONS if str(one) not in varied),
        variables=variables,
    )
    found = findings(evidence, objectives)
    return Winner(number, optimism(search.get(number), test.get(number)), found.model_dump(mode="json"))


def _best_recipe(
    selection: Mapping[int, Outcome], order: Sequence[Candidate], weights: Sequence[float]
) -> int | None:
    """Returns the number of the usual recipe with the highest mean; None where none was scored."""
    usual = {one.number for one in order if one.kind is CandidateKind.BASELINE}
    return best_of({n: outcome for n, outcome in selection.items() if n in usual}, weights)


def _test_order(
    selection: Mapping[int, Outcome],
    order: Sequence[Candidate],
    weights: Sequence[float],
    winner: int,
    stopped: Mapping[int, Stop],
) -> list[Candidate]:
    """Returns those to be asked the test items: the winner, the best parent, then by selection mean."""
    going = [one for one in order if one.number in selection and one.number not in stopped]

    def mean(one: Candidate) -> float:
        outcome = selection[one.number]
        return mean_of(outcome, weights) if isinstance(outcome, Scored) else float("-inf")

    going.sort(key=lambda one: (-mean(one), one.number))
    parents = [one.number for one in going if one.kind is CandidateKind.PARENT]
    first = (winner, *parents[:1])
    return sorted(going, key=lambda one: first.index(one.number) if one.number in first else len(first))
