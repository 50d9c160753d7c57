"""Finalists: which candidates are examined, in which order, and which of them is the best.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from search_spaces import Recipe
from service.archives.pareto import ParetoArchive
from service.experiment.candidate import Candidate, CandidateKind, Remembered
from service.experiment.objectives import weighted_mean
from workers.protocol.messages import Outcome, Scored

_FOUND = (CandidateKind.EVOLVED, CandidateKind.ENQUEUED, CandidateKind.KNOWN)


def finalists(remembered: Sequence[Remembered], weights: Sequence[float], count: int) -> list[Candidate]:
    """Returns the examined candidates: all baselines, the best, and as many more of the front.

    What is known from other experiments counts as what was evolved here.

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
    always = [r.candidate for r in first.values() if r.candidate.kind not in _FOUND]
    evolved = sorted(
        (r for r in first.values() if r.candidate.kind in _FOUND),
        key=lambda r: (r.violation, -mean_of(r.outcome, weights), r.candidate.number),
    )
    front = [r for r in evolved[count:] if r.candidate.number in archive.front]
    chosen = [r.candidate for r in (*evolved[:count], *front[:count])]
    return sorted((*always, *chosen), key=lambda candidate: candidate.number)


def likely_first(
    remembered: Sequence[Remembered], chosen: Sequence[Candidate], weights: Sequence[float]
) -> list[Candidate]:
    """Returns the finalists in the order in which they are asked: the best of the search first.

    The best parent comes second at the latest: without it nothing could be said of a gain.
    """
    known = {each.candidate.number: each for each in remembered}

    def place(candidate: Candidate) -> tuple[float, float, int]:
        each = known[candidate.number]
        return each.violation, -mean_of(each.outcome, weights), candidate.number

    order = sorted(chosen, key=place)
    parent = next((one for one in order if one.kind is CandidateKind.PARENT), None)
    if parent is None or parent in order[:2]:
        return order
    order.remove(parent)
    return [order[0], parent, *order[1:]]


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
    return {r.candidate.number: math.inf if r.candidate.kind.is_added else r.violation for r in remembered}


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
