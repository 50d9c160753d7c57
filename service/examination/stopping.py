"""Which finalists are asked no further: paired tests on the selection items.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluators.sampling.statistics import binomial_p_value, paired_test
from service.experiment.candidate import Candidate, CandidateKind
from workers.protocol.messages import Outcome, Scored

SIGNIFICANT = 0.05
_ALWAYS = frozenset({CandidateKind.PARENT, CandidateKind.BASE, CandidateKind.AVERAGE})


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a finalist is asked no further.

    Attributes:
        better, worse: On how many selection items it is better or worse than the winner.
        p_value: Of the exact two-sided binomial test of these counts.
    """

    better: int
    worse: int
    p_value: float


def clearly_worse(leader: Outcome, other: Outcome, *, among: int) -> Stop | None:
    """Returns why a finalist cannot be the better model; None where that is not clear.

    It is clear where the finalist is better on no objective, and the exact test over all objectives'
    items says so at 5 % divided by the number of finalists compared (Bonferroni), as each is a chance to
    err.

    Args:
        leader: The winner's selection scores.
        other: A finalist's, of the same items.
        among: How many are compared with the leader.
    """
    if not (isinstance(leader, Scored) and isinstance(other, Scored)):
        return None
    better = worse = 0
    for best, theirs in zip(leader.scores, other.scores, strict=True):
        same = best.item_indices == theirs.item_indices and len(best.per_item) == len(theirs.per_item)
        if not (best.per_item and same) or theirs.fitness > best.fitness:
            return None
        test = paired_test(theirs.item_fitness, best.item_fitness)
        better, worse = better + test.better, worse + test.worse
    p_value = binomial_p_value(better, worse)
    return Stop(better, worse, p_value) if worse > better and p_value < SIGNIFICANT / max(among, 1) else None


def stops(
    selection: Mapping[int, Outcome], order: Sequence[Candidate], winner: int, kept: int | None
) -> dict[int, Stop]:
    """Returns those that are asked no further, by number.

    Parents, base and average are asked in any case, and the best usual recipe: the report compares the
    winner with them.

    Args:
        selection: Selection scores by number.
        order: The finalists.
        winner: Its number.
        kept: The best usual recipe's number.
    """
    compared = [one for one in order if one.number != winner and one.number in selection]
    found: dict[int, Stop] = {}
    for one in compared:
        if one.kind in _ALWAYS or one.number == kept:
            continue
        stop = clearly_worse(selection[winner], selection[one.number], among=len(compared))
        if stop is not None:
            found[one.number] = stop
    return found
