"""What is different in a model from the one before it in a repository, in sentences.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluators import Score
from evaluators.sampling.statistics import paired_test
from search_spaces import Recipe
from service.exports.card.shares import mean_shares
from service.exports.lineage import parents_of

_LEAST = 0.005  # of a share: what is less is not said


def recipe_changes(before: Recipe, after: Recipe, layers: int, layer_prefix: str) -> Iterator[str]:
    """Yields what differs between two recipes whose local parents are called by their last part.

    Args:
        before: Of the model before.
        after: Of the new one.
        layers: How many a parent of the new one has.
        layer_prefix: Of its layers' tensors.
    """
    old, new = parents_of(before), parents_of(after)
    if gone := sorted(old - new):
        yield f"no longer made of {', '.join(gone)}"
    if come := sorted(new - old):
        yield f"now made of {', '.join(come)} as well"
    if before.method != after.method:
        yield f"method {before.method} → {after.method}"
    if before.out_dtype != after.out_dtype:
        yield f"number format {before.out_dtype or 'of the parents'} → {after.out_dtype or 'of the parents'}"
    if old == new:
        shares = mean_shares(before, layers, layer_prefix), mean_shares(after, layers, layer_prefix)
        for name in sorted(shares[0].keys() & shares[1].keys()):
            if abs(shares[0][name] - shares[1][name]) >= _LEAST:
                yield f"mean share of {name}: {shares[0][name]:.0%} → {shares[1][name]:.0%}"
    if len(before.slices) != len(after.slices):
        yield f"{len(before.slices)} slices → {len(after.slices)}"
    first, second = _leaves(before.model_dump(mode="json")), _leaves(after.model_dump(mode="json"))
    different = sum(first.get(place) != second.get(place) for place in first.keys() | second.keys())
    yield f"{different} of the recipe's {len(first.keys() | second.keys())} values differ"


def paired_changes(before: Sequence[Score], after: Sequence[Score], split: str) -> Iterator[str]:
    """Yields the difference per benchmark where both models answered the same items."""
    known = {score.benchmark: score for score in before}
    for score in after:
        other = known.get(score.benchmark)
        if other is None or not score.per_item or score.item_set != other.item_set:
            continue
        if score.item_indices != other.item_indices or len(score.per_item) != len(other.per_item):
            continue
        test = paired_test(score.item_fitness, other.item_fitness)
        better = "" if score.higher_is_better else " (less is better)"
        yield (
            f"{score.benchmark} on the {split} split{better}: {other.value:.3f} → {score.value:.3f}; paired "
            f"difference {score.sign * test.difference:+.3f} ± {test.stderr:.3f} over {len(score.per_item)} "
            f"items, {test.better} better and {test.worse} worse, p = {test.p_value:.2g} ({test.test})"
        )


def told_changes(before: Mapping[str, Any], after: Sequence[Score], split: str) -> Iterator[str]:
    """Yields scores beside those that the model before was published with: its answers are not here."""
    listed = before.get(split)
    for told in listed if isinstance(listed, list) else ():
        if not isinstance(told, dict) or not isinstance(told.get("value"), int | float):
            continue
        for score in after:
            if (score.benchmark, score.metric) == (told.get("benchmark"), told.get("metric")):
                yield (
                    f"{score.benchmark} on the {split} split: {told['value']:.3f} → {score.value:.3f} ± "
                    f"{score.stderr:.3f}; not paired, the items may differ"
                )


def _leaves(value: object, place: str = "") -> dict[str, object]:
    """Returns the plain values in JSON, by where they stand."""
    if isinstance(value, dict):
        parts = [(f"{place}/{key}", part) for key, part in value.items()]
    elif isinstance(value, list):
        parts = [(f"{place}/{number}", part) for number, part in enumerate(value)]
    else:
        return {place: value}
    return {where: leaf for name, part in parts for where, leaf in _leaves(part, name).items()}
