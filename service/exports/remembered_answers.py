"""Remembered answers: which of a candidate's stored answers its checkpoint must give again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaluators import Score
from service.experiment.spec import ExperimentSpec
from workers.protocol.stored_answers import StoredAnswers

MOST_ITEMS = 64  # per benchmark: a wrong checkpoint differs in many


def remembered_answers(scores: Sequence[Score], spec: ExperimentSpec) -> StoredAnswers | None:
    """Returns items of the search split with a candidate's answers, None where there are none.

    Judges other than lm-eval, whose answers may change from one asking to the next, are left out, and
    everything that vLLM answered: its arithmetic is another.

    Args:
        scores: The candidate's on the search split, with each item's result.
        spec: The experiment's.
    """
    if spec.backend != "torch":
        return None
    stored = {score.benchmark: score for score in scores}
    asked = [b for b in spec.benchmarks if b.kind == "lm_eval" and _is_usable(stored.get(b.name))]
    if not asked:
        return None
    return StoredAnswers(
        benchmarks=tuple(asked),
        scores=tuple(_part(stored[benchmark.name]) for benchmark in asked),
        dtype=spec.dtype,
        batch_size=spec.batch_size,
    )


def _is_usable(score: Score | None) -> bool:
    if score is None or not score.per_item or not score.item_set:
        return False
    return len(score.item_indices or score.per_item) == len(score.per_item)


def _part(score: Score) -> Score:
    """Returns a score of some items, as evenly spread over the split as can be."""
    indices = score.item_indices or tuple(range(len(score.per_item)))
    places = _spread(len(indices))
    margins = tuple(score.margins[place] for place in places) if len(score.margins) == len(indices) else ()
    return replace(
        score,
        item_indices=tuple(indices[place] for place in places),
        per_item=tuple(score.per_item[place] for place in places),
        margins=margins,
    )


def _spread(count: int) -> Sequence[int]:
    if count <= MOST_ITEMS:
        return range(count)
    return [number * count // MOST_ITEMS for number in range(MOST_ITEMS)]
