"""Which finalist wins: by the items of search and selection together, and a search's find only on evidence.

The selection items alone are few: of a dozen finalists that are nearly as good, the luckiest would win.  The
search items are known anyway, but flatter what was found by them.  So both count, and what an optimizer
proposed must lead the best baseline by a part of the standard error of their paired difference.  Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evaluators import Score
from evaluators.sampling.statistics import paired_test
from service.examination.finalists import best_of
from service.experiment.candidate import Candidate
from service.experiment.objectives import weighted_mean
from workers.protocol.messages import Outcome, Scored

EVIDENCE = 0.5  # standard errors
_ALIKE = 1e-6  # a value that is the mean of items differs from it by no more


def winner_of(
    chosen: Sequence[Candidate],
    search: Mapping[int, Outcome],
    selection: Mapping[int, Outcome],
    weights: Sequence[float],
    violations: Mapping[int, float] | None = None,
) -> int | None:
    """Returns the winner's number; None where no finalist has scores on the selection split.

    Args:
        chosen: The finalists.
        search: Outcomes on the search split, by number.
        selection: Outcomes on the selection split, by number.
        weights: One per objective.
        violations: By how much candidates break the constraints, which counts before all else.
    """
    broken = violations or {}
    together = pooled(search, {n: one for n, one in selection.items() if isinstance(one, Scored)})
    first = best_of(together, weights, broken)
    usual = {one.number for one in chosen if one.is_baseline}
    kept = best_of({n: one for n, one in together.items() if n in usual}, weights, broken)
    if first is None or kept is None or first in usual or broken.get(first, 0.0) < broken.get(kept, 0.0):
        return first
    return first if _leads(together[first], together[kept], weights) else kept


def pooled(search: Mapping[int, Outcome], selection: Mapping[int, Scored]) -> dict[int, Scored]:
    """Returns the outcomes on both splits as one, item after item.

    An objective stays what it is on the selection split where it is no mean of items, or where a finalist
    was not asked all search items: means of different items do not compare.
    """
    if not selection:
        return {}
    count = len(next(iter(selection.values())).scores)
    means = [
        all(_is_mean(search.get(n), one, place) for n, one in selection.items()) for place in range(count)
    ]
    return {number: _united(search.get(number), one, means) for number, one in selection.items()}


def _is_mean(search: Outcome | None, selection: Scored, place: int) -> bool:
    if not isinstance(search, Scored):
        return False
    both = (search.scores[place], selection.scores[place])
    return all(one.per_item and not one.item_indices and _differs(one) <= _ALIKE for one in both)


def _differs(score: Score) -> float:
    return abs(math.fsum(score.per_item) / len(score.per_item) - score.value)


def _united(search: Outcome | None, selection: Scored, means: Sequence[bool]) -> Scored:
    known = search.scores if isinstance(search, Scored) else selection.scores
    pairs = zip(known, selection.scores, means, strict=True)
    return replace(selection, scores=tuple(_one(before, now) if mean else now for before, now, mean in pairs))


def _one(before: Score, now: Score) -> Score:
    items = (*before.per_item, *now.per_item)
    return replace(now, value=math.fsum(items) / len(items), per_item=items, margins=())


def _leads(one: Scored, other: Scored, weights: Sequence[float]) -> bool:
    """Says whether one is better by enough standard errors; without items, whether it is better at all."""
    differences, errors = [], []
    for mine, theirs in zip(one.scores, other.scores, strict=True):
        differences.append(mine.fitness - theirs.fitness)
        same = len(mine.per_item) == len(theirs.per_item) > 0 and mine.item_indices == theirs.item_indices
        errors.append(paired_test(mine.item_fitness, theirs.item_fitness).stderr if same else 0.0)
    shares = [weight / math.fsum(weights) for weight in weights]
    error = math.sqrt(math.fsum((share * e) ** 2 for share, e in zip(shares, errors, strict=True)))
    return weighted_mean(differences, weights) > EVIDENCE * error
