"""Methods that add up thinned task vectors, in one pass over the parents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.merging.arithmetic.weighting import normalizer
from workers.merging.fast import passes
from workers.merging.fast.facts import Facts
from workers.merging.fast.kept import ALL_CODES, Kept, Kind, cut
from workers.merging.fast.storage import Array
from workers.merging.fast.thinning import THINNING
from workers.merging.fast.threads import STRETCH, stretches
from workers.merging.kernel import Ingredients
from workers.merging.thinning.global_thresholds import found_globally

_ELECTING = ("ties", "breadcrumbs_ties", "dare_ties", "della")


def merge_sparse(ingredients: Ingredients, kernel: str, facts: Facts, out: Array) -> bool:
    """Writes a method's tensor; returns whether it is finite.

    Raises:
        MergeError: The method cannot work with the recipe's numbers.
    """
    addends = find_addends(ingredients, kernel, facts)

    def part(start: int) -> bool:
        stop = min(start + STRETCH, len(out))
        places = cut(start, stop, addends.kept) if addends.kind is Kind.BY_MAGNITUDE else [(start, stop)]
        found = [_add(addends, facts.base, out, piece) for piece in places]
        return any(found)

    return not any(facts.work(part, stretches(len(out))))


@dataclass(frozen=True, slots=True)
class Addends:
    """The task vectors that take part, as the passes want them, and what is done to their sum.

    Attributes:
        kind: What decides which entries are kept.
        parents: Flat: arrays, or on a device tensors.
        kept: Which entries, per parent.
        scales: What kept entries are multiplied with because others were dropped, float32.
        weights: Float32.
        factor: What the sum is multiplied with.
        election: The sign elected at zero, and the share of weights up to which nothing is divided;
            None where all are added up.
    """

    kind: Kind
    parents: tuple[Any, ...]
    kept: tuple[Kept, ...]
    scales: Array
    weights: Array
    factor: np.float32
    election: tuple[np.float32, np.float32] | None


def find_addends(ingredients: Ingredients, kernel: str, facts: Facts) -> Addends:
    """Returns what a method adds up.

    Raises:
        MergeError: The method cannot work with the recipe's numbers.
    """
    weights, densities = ingredients.per_parent["weight"], ingredients.per_parent["density"]
    chosen = [i for i in range(len(facts.parents)) if weights[i] != 0.0 and densities[i] > 0.0]
    if not chosen:  # the passes want at least one: the base itself, of no weight
        nothing, kept_all = np.zeros(1, np.float32), (Kept(Kind.BY_MAGNITUDE),)
        ends = _ends(ingredients, kernel, nothing)
        return Addends(Kind.BY_MAGNITUDE, (facts.base,), kept_all, nothing, nothing, *ends)
    kept = [THINNING[kernel](ingredients, facts, i) for i in chosen]
    scales = [_scale(ingredients, kernel, facts, i, one) for i, one in zip(chosen, kept, strict=True)]
    kind = next((one.kind for one in kept if not one.everything), Kind.BY_MAGNITUDE)
    chosen_weights = np.array([weights[i] for i in chosen], np.float32)
    factor, election = _ends(ingredients, kernel, chosen_weights)
    return Addends(
        kind=kind,
        parents=tuple(facts.parents[i] for i in chosen),
        kept=tuple(kept),
        scales=np.array(scales, np.float32),
        weights=chosen_weights,
        factor=factor,
        election=election,
    )


def _ends(
    ingredients: Ingredients, kernel: str, weights: Array
) -> tuple[np.float32, tuple[np.float32, np.float32] | None]:
    """Returns what is done to the sum: its factor, and the election."""
    factor = ingredients.shared["lambda"]
    if kernel in _ELECTING:
        return np.float32(factor), _election(ingredients, weights)
    if ingredients.shared.get("normalize", 0.0):
        factor /= normalizer(ingredients.per_parent["weight"])
    return np.float32(factor), None


def _scale(ingredients: Ingredients, kernel: str, facts: Facts, parent: int, kept: Kept) -> float:
    """What the kept entries are multiplied with, because others were dropped."""
    if kept.by_chance and kept.code == 0:
        return 0.0  # nothing is kept; the passes cannot say so otherwise
    if not ingredients.shared.get("rescale", 0.0):
        return 1.0
    if kernel == "dare":
        return 1.0 / ingredients.per_parent["density"][parent]
    if kept.everything:
        return 1.0
    before, left = facts.whole_length(parent), facts.length(parent, kept)
    return before / left if left else 1.0


def _election(ingredients: Ingredients, weights: Array) -> tuple[np.float32, np.float32]:
    """Returns the sign that is elected at zero, and the share of weights up to which nothing is divided."""
    divided = ingredients.shared["normalize"] and ingredients.choices.get("merge_function") != "sum"
    smallest = 1e-6 * float(np.abs(weights.astype(np.float64)).sum()) if divided else math.inf
    globally = ingredients.choices.get("granularity") == "global" and "merge_function" in ingredients.choices
    at_zero = found_globally(ingredients).majority if globally else 1.0
    return np.float32(at_zero), np.float32(smallest)


def _add(addends: Addends, base: Array, out: Array, piece: tuple[int, int]) -> bool:
    """Writes a piece of the tensor; returns whether it holds NaN or infinity."""
    start, stop = piece
    target, origin = out[start:stop], base[start:stop]
    parents = tuple(parent[start:stop] for parent in addends.parents)
    ends, election = (addends.scales, addends.weights, addends.factor), addends.election
    if addends.kind is Kind.BY_MAGNITUDE:
        limits = np.array([kept.bounds(stop) for kept in addends.kept], np.uint32)
        if election is None:
            return bool(passes.sum_between(target, origin, parents, limits, *ends))
        return bool(passes.elect_between(target, origin, parents, limits, *ends, *election))
    if addends.kind is Kind.AT_RANDOM:
        seeds = np.array([kept.seed for kept in addends.kept], np.uint32)
        last = np.array([kept.last_word for kept in addends.kept], np.int32)
        first = np.uint32(start)
        if election is None:
            return bool(passes.sum_at_random(target, origin, parents, first, seeds, last, *ends))
        return bool(passes.elect_at_random(target, origin, parents, first, seeds, last, *ends, *election))
    keys = tuple(key[start:stop] for key in some_keys(addends.kept))
    bounds = np.array([kept.code for kept in addends.kept], np.uint32)
    if election is None:
        return bool(passes.sum_by_key(target, origin, parents, keys, bounds, *ends))
    return bool(passes.elect_by_key(target, origin, parents, keys, bounds, *ends, *election))


def some_keys(several: Sequence[Kept]) -> list[Any]:
    """Returns the keys; any will do where all entries are kept, because all are below that bound."""
    some = next(kept.keys for kept in several if kept.code != ALL_CODES)
    return [some if kept.code == ALL_CODES else kept.keys for kept in several]
