"""The examination: what the finalists are worth on items that the optimizer never saw.

The selection split picks the winner among the best candidates, the front and the baselines; then
the test split is read once, for the report.  A baseline may win: then the search found nothing
better, and the report says so.  A candidate that broke a constraint in the search wins only where all did.
Nothing of this is ever told to the optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4, uuid5

from evaluators import Split
from evaluators.conditions import Conditions
from search_spaces import Recipe, SearchSpace
from service.archives.pareto import ParetoArchive
from service.examination.analysis import Evidence, findings, sensitivity
from service.experiment.candidate import MEAN_LABEL, Candidate, CandidateKind, Remembered
from service.experiment.findings import SensitivityFinding
from service.experiment.objectives import Objectives, weighted_mean
from service.experiment.spec import ExperimentSpec
from service.optimizers import Optimizer
from service.search.dispatcher import PATIENCE, Dispatcher
from service.search.journal import ControlRequest
from service.store.journal import DatabaseJournal, ExaminationRecord
from workers.protocol.messages import Assignment, Outcome, Scored, Workforce
from workers.protocol.outcomes import poison

CONDITIONS = (Conditions(seed=1), Conditions(seed=2), Conditions(length=2.0), Conditions(length=0.5))


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
    journal: DatabaseJournal, workforce: Workforce, spec: ExperimentSpec, objectives: Objectives
) -> Winner | ControlRequest | None:
    """Returns the winner, None when no finalist could be scored, or the request that came in between.

    What was examined before a crash is not examined again.
    """
    if (control_request := _settle_mean(journal, workforce, timeout=spec.evaluation_timeout)) is not None:
        return control_request
    remembered = journal.recall()
    chosen = finalists(remembered, spec.weights, spec.examination.finalists)
    selection = _scores_on("selection", journal, workforce, chosen=chosen, timeout=spec.evaluation_timeout)
    if isinstance(selection, ControlRequest):
        return selection
    number = best_of(selection, spec.weights, violations_of(remembered) if spec.constraints else {})
    if number is None:
        return None
    winner = next(candidate for candidate in chosen if candidate.number == number)
    varied = _under_other_conditions(
        winner, selection[number], journal, workforce, timeout=spec.evaluation_timeout
    )
    if isinstance(varied, ControlRequest):
        return varied
    ExaminationRecord(journal, "test").open([candidate.number for candidate in chosen])
    test = _scores_on("test", journal, workforce, chosen=chosen, timeout=spec.evaluation_timeout)
    if isinstance(test, ControlRequest):
        return test
    search = {r.candidate.number: r.outcome for r in remembered if r.outcome is not None}
    evidence = Evidence(number, chosen, {"search": search, "selection": selection, "test": test}, varied)
    found = findings(evidence, objectives)
    return Winner(number, optimism(search.get(number), test.get(number)), found.model_dump(mode="json"))


def propose_mean(journal: DatabaseJournal, optimizer: Optimizer, space: SearchSpace) -> None:
    """Adds the mean of the optimizer's distribution to the candidates, if it has one and it is new.

    A search over noisy scores ends with lucky candidates; the mean of what it would propose next is
    often better than any of them.
    """
    remembered = journal.recall()
    told = sum(each.told is not None for each in remembered)
    means = [each.candidate for each in remembered if each.candidate.kind is CandidateKind.MEAN]
    genome = optimizer.mean()
    if genome is None or any(mean.asked_after == told for mean in means):
        return
    recipe = space.decode(genome)
    known = {r.candidate.recipe.digest for r in remembered if isinstance(r.candidate.recipe, Recipe)}
    if not isinstance(recipe, Recipe) or recipe.digest in known:
        return
    last = remembered[-1].candidate
    number, generation = last.number + 1, last.generation + 1
    mean = Candidate(
        uuid4(), number, generation, genome, recipe, MEAN_LABEL, asked_after=told, kind=CandidateKind.MEAN
    )
    journal.proposed([mean])


def _settle_mean(journal: DatabaseJournal, workforce: Workforce, *, timeout: float) -> ControlRequest | None:
    """Has the mean scored on the search items like every candidate; the optimizer is not told of it."""
    waiting = [
        r.candidate for r in journal.recall() if r.candidate.kind is CandidateKind.MEAN and r.outcome is None
    ]
    settled = Dispatcher(workforce, journal, timeout=timeout).settle(waiting, {})
    return settled if isinstance(settled, ControlRequest) else None


def _under_other_conditions(
    winner: Candidate, before: Outcome, journal: DatabaseJournal, workforce: Workforce, *, timeout: float
) -> list[SensitivityFinding] | ControlRequest:
    """Asks the winner the selection items with other examples, other draws, more and less room."""
    record = ExaminationRecord(journal, "selection")
    found = record.recall_varied(winner.number)
    if not isinstance(winner.recipe, Recipe):
        return []
    for conditions in CONDITIONS:
        name = str(conditions)
        if name in found:
            continue
        order = Assignment(
            uuid5(winner.id, name),
            winner.number,
            winner.recipe,
            "selection",
            timeout=timeout,
            conditions=conditions,
        )
        outcome = _answer_to(order, record, workforce)
        if isinstance(outcome, ControlRequest):
            return outcome
        found[name] = list(sensitivity(name, before, outcome))
        record.varied(winner.number, name, found[name])
    return [finding for each in found.values() for finding in each]


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


def finalists(remembered: Sequence[Remembered], weights: Sequence[float], count: int) -> list[Candidate]:
    """Returns the examined candidates: all baselines, the best, and as many more of the front.

    Those that break constraints are worse than all that keep them.
    Each recipe is examined once; of equal ones the first stands for all.
    """
    first: dict[str, Remembered] = {}
    for each in remembered:
        if isinstance(each.outcome, Scored) and isinstance(each.candidate.recipe, Recipe):
            first.setdefault(each.candidate.recipe.digest, each)
    archive = ParetoArchive()
    for each in (r for r in first.values() if not r.violation):
        archive.add(each.candidate.number, fitness_of(each.outcome), mean_of(each.outcome, weights))
    always = [r.candidate for r in first.values() if r.candidate.kind is not CandidateKind.EVOLVED]
    evolved = sorted(
        (r for r in first.values() if r.candidate.kind is CandidateKind.EVOLVED),
        key=lambda r: (r.violation, -mean_of(r.outcome, weights), r.candidate.number),
    )
    front = [r for r in evolved[count:] if r.candidate.number in archive.front]
    chosen = [r.candidate for r in (*evolved[:count], *front[:count])]
    return sorted((*always, *chosen), key=lambda candidate: candidate.number)


def best_of(
    outcomes: Mapping[int, Outcome], weights: Sequence[float], violations: Mapping[int, float] | None = None
) -> int | None:
    """Returns the number with the highest weighted mean, the lowest of equals; None without scores.

    Args:
        outcomes: By the candidates' numbers.
        weights: One per objective.
        violations: By how much candidates break the constraints, which counts before the mean.
    """
    broken = violations or {}
    means = {n: mean_of(outcome, weights) for n, outcome in outcomes.items() if isinstance(outcome, Scored)}
    if not means:
        return None
    return min(means, key=lambda number: (broken.get(number, 0.0), -means[number], number))


def violations_of(remembered: Sequence[Remembered]) -> dict[int, float]:
    """Returns by how much each candidate breaks the constraints.

    The distribution's mean was never told, so whether it keeps them was not computed.
    """
    return {
        r.candidate.number: math.inf if r.candidate.kind is CandidateKind.MEAN else r.violation
        for r in remembered
    }


def optimism(search: Outcome | None, test: Outcome | None) -> dict[str, float]:
    """Returns by how much better each objective looked in the search than it is."""
    if not (isinstance(search, Scored) and isinstance(test, Scored)):
        return {}
    pairs = zip(search.scores, test.scores, strict=True)
    return {seen.benchmark: seen.fitness - held_out.fitness for seen, held_out in pairs}


def fitness_of(outcome: Outcome | None) -> tuple[float, ...]:
    """Returns one number per objective, larger is better."""
    return tuple(score.fitness for score in outcome.scores) if isinstance(outcome, Scored) else ()


def mean_of(outcome: Outcome | None, weights: Sequence[float]) -> float:
    """Returns the weighted mean of the objectives."""
    return weighted_mean(fitness_of(outcome), weights)


def _scores_on(
    split: Split,
    journal: DatabaseJournal,
    workforce: Workforce,
    *,
    chosen: Sequence[Candidate],
    timeout: float,
) -> dict[int, Outcome] | ControlRequest:
    dispatcher = Dispatcher(workforce, ExaminationRecord(journal, split), timeout=timeout, split=split)
    known = journal.recall_split(split)
    numbers = {candidate.number for candidate in chosen}
    return dispatcher.settle(chosen, {n: outcome for n, outcome in known.items() if n in numbers})
