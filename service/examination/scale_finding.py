"""How much of the winner's lead over the best usual recipe is scale alone.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evaluators import Score, Split
from evaluators.sampling.statistics import paired_test
from service.examination.scale_line import line_weight
from service.experiment.candidate import Candidate, CandidateKind
from service.experiment.findings import Lead, ScaleFinding
from service.experiment.objectives import weighted_mean
from workers.protocol.messages import Outcome, Scored

_USUAL = (CandidateKind.AVERAGE, CandidateKind.BASELINE)


def scale_finding(
    winner: Candidate,
    finalists: Sequence[Candidate],
    outcomes: Mapping[Split, Mapping[int, Outcome]],
    weights: Sequence[float],
) -> ScaleFinding | None:
    """Returns how the winner's lead divides; None where it is no merge that a search found.

    The best usual recipe and the best point on their line are chosen by the selection items, and the leads
    are those on the test items, or on the selection items where one of the three was not asked others.
    """
    if winner.kind.is_baseline:
        return None
    means = {n: _mean(one, weights) for n, one in outcomes.get("selection", {}).items() if _is_scored(one)}
    named = {each.number: each for each in finalists if each.number in means}
    usual = [number for number, each in named.items() if each.kind in _USUAL]
    line = [number for number, each in named.items() if line_weight(each.recipe) is not None]
    if not usual or not line or winner.number not in means:
        return None
    best_usual, best_line = (max(some, key=lambda n: (means[n], -n)) for some in (usual, line))
    asked = (winner.number, best_usual, best_line)
    tested = all(_is_scored(outcomes.get("test", {}).get(number)) for number in asked)
    split: Split = "test" if tested else "selection"
    mine, usual_one, line_one = ([*_scores(outcomes[split][number])] for number in asked)
    return ScaleFinding(
        split=split,
        usual=best_usual,
        usual_label=named[best_usual].label,
        line=best_line,
        line_label=named[best_line].label,
        whole=_lead(mine, usual_one, weights),
        alone=_lead(line_one, usual_one, weights),
        rest=_lead(mine, line_one, weights),
    )


def _is_scored(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Scored)


def _scores(outcome: Outcome) -> tuple[Score, ...]:
    return outcome.scores if isinstance(outcome, Scored) else ()


def _mean(outcome: Outcome, weights: Sequence[float]) -> float:
    return weighted_mean([score.fitness for score in _scores(outcome)], weights)


def _lead(first: Sequence[Score], second: Sequence[Score], weights: Sequence[float]) -> Lead:
    """Returns by how much the first is better in the weighted mean; the error is paired, item by item."""
    differences, errors = [], []
    for mine, theirs in zip(first, second, strict=True):
        differences.append(mine.fitness - theirs.fitness)
        same = len(mine.per_item) == len(theirs.per_item) > 0 and mine.item_indices == theirs.item_indices
        pair = paired_test(mine.item_fitness, theirs.item_fitness).stderr if same else None
        errors.append(math.hypot(mine.stderr, theirs.stderr) if pair is None else pair)
    shares = [weight / math.fsum(weights) for weight in weights]
    error = math.sqrt(math.fsum((share * e) ** 2 for share, e in zip(shares, errors, strict=True)))
    return Lead(value=weighted_mean(differences, weights), stderr=error)
