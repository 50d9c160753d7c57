"""Whether what a worker answered can be true: a worker may be broken, of another version, or lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from evaluators import EvaluationError, Score
from evaluators.errors import BadScoreError
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Outcome, Scored


def believable(outcome: Outcome, benchmarks: Sequence[str], *, seconds: float) -> Outcome:
    """Returns the outcome as far as it can be true, or why its scores do not count.

    No optimizer may ever see a NaN, or the scores of other benchmarks.  Scores are put into the order of
    `benchmarks`; times that cannot be true become what is known of them.

    Args:
        outcome: As the worker sent it.
        benchmarks: What was asked, by name and in order; empty where any may be answered.
        seconds: For how long the assignment was out.
    """
    if isinstance(outcome, Failed):
        return outcome
    try:
        scores = _in_order(outcome.scores, benchmarks)
        for score in scores:
            score.check()
    except EvaluationError as error:
        return Failed(outcome.candidate, outcome.attempt, Failure.of(error), outcome.worker)
    return _timed(replace(outcome, scores=scores), seconds)


def _in_order(scores: Sequence[Score], benchmarks: Sequence[str]) -> tuple[Score, ...]:
    found = {score.benchmark: score for score in scores}
    if not benchmarks:
        return tuple(scores)
    if len(found) != len(scores) or set(found) != set(benchmarks):
        said = ", ".join(score.benchmark for score in scores) or "nothing"
        raise BadScoreError(
            "scores",
            f"{', '.join(benchmarks)} were asked, {said} came back"[:500],
            "the worker is broken or of another version: see that all machines have the same evomerge",
        )
    return tuple(found[name] for name in benchmarks)


def _timed(outcome: Scored, seconds: float) -> Scored:
    """Returns the outcome with times that can be true; all of what is not counts as evaluation."""
    merge, evaluate = outcome.merge_seconds, outcome.evaluate_seconds
    if all(math.isfinite(each) and each >= 0.0 for each in (merge, evaluate)):
        return outcome
    return replace(outcome, merge_seconds=0.0, evaluate_seconds=seconds)
