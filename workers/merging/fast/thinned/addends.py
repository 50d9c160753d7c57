"""Addends: what methods that thin task vectors add up, and what they do to the sum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.merging.arithmetic.weighting import normalizer
from workers.merging.fast.selection.selection_masks import Criterion, SelectionMask
from workers.merging.fast.statistics.tensor_statistics import TensorStatistics
from workers.merging.fast.storage import Array
from workers.merging.fast.thinned.thinning import THINNING
from workers.merging.kernel import Ingredients
from workers.merging.thinning.global_thresholds import found_globally

_ELECTING = ("ties", "breadcrumbs_ties", "dare_ties", "della")


@dataclass(frozen=True, slots=True)
class Addends:
    """The task vectors that take part, as the passes want them, and what is done to their sum.

    Attributes:
        criterion: What decides which entries are kept.
        numbers: Which parents; none where the base stands for them.
        parents: Flat: arrays, or on a device tensors.
        masks: Which entries, per parent.
        factors: What kept entries are multiplied with, float32: their parent's weight, times what others
            that were dropped leave to them.
        weights: Of the parents, float32.
        factor: What the sum is multiplied with.
        election: The sign elected at zero, and the share of weights up to which nothing is divided;
            None where all are added up.
    """

    criterion: Criterion
    numbers: tuple[int, ...]
    parents: tuple[Any, ...]
    masks: tuple[SelectionMask, ...]
    factors: Array
    weights: Array
    factor: np.float32
    election: tuple[np.float32, np.float32] | None


def find_addends(ingredients: Ingredients, kernel: str, statistics: TensorStatistics) -> Addends:
    """Returns what a method adds up.

    Raises:
        MergeError: The method cannot work with the recipe's numbers.
    """
    weights, densities = ingredients.per_parent["weight"], ingredients.per_parent["density"]
    chosen = [i for i in range(len(statistics.parents)) if weights[i] != 0.0 and densities[i] > 0.0]
    if not chosen:  # the passes want at least one: the base itself, of no weight
        nothing, kept_all = np.zeros(1, np.float32), (SelectionMask(Criterion.BY_MAGNITUDE),)
        ends = _ends(ingredients, kernel, nothing)
        return Addends(Criterion.BY_MAGNITUDE, (), (statistics.base,), kept_all, nothing, nothing, *ends)
    masks = [THINNING[kernel](ingredients, statistics, i) for i in chosen]
    scales = [_scale(ingredients, kernel, statistics, i, one) for i, one in zip(chosen, masks, strict=True)]
    criterion = next((one.criterion for one in masks if not one.everything), Criterion.BY_MAGNITUDE)
    chosen_weights = np.array([weights[i] for i in chosen], np.float32)
    factor, election = _ends(ingredients, kernel, chosen_weights)
    return Addends(
        criterion=criterion,
        numbers=tuple(chosen),
        parents=tuple(statistics.parents[i] for i in chosen),
        masks=tuple(masks),
        factors=np.array(scales, np.float32) * chosen_weights,
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


def _scale(
    ingredients: Ingredients, kernel: str, statistics: TensorStatistics, parent: int, kept: SelectionMask
) -> float:
    """What the kept entries are multiplied with, because others were dropped."""
    if kept.by_chance and kept.code == 0:
        return 0.0  # nothing is kept; the passes cannot say so otherwise
    if not ingredients.shared.get("rescale", 0.0):
        return 1.0
    if kernel == "dare":
        return 1.0 / ingredients.per_parent["density"][parent]
    if kept.everything:
        return 1.0
    before, left = statistics.whole_length(parent), statistics.length(parent, kept)
    return before / left if left else 1.0


def _election(ingredients: Ingredients, weights: Array) -> tuple[np.float32, np.float32]:
    """Returns the sign that is elected at zero, and the share of weights up to which nothing is divided."""
    divided = ingredients.shared["normalize"] and ingredients.choices.get("merge_function") != "sum"
    smallest = 1e-6 * sum(abs(weight) for weight in weights.tolist()) if divided else math.inf
    globally = ingredients.choices.get("granularity") == "global" and "merge_function" in ingredients.choices
    at_zero = found_globally(ingredients).majority if globally else 1.0
    return np.float32(at_zero), np.float32(smallest)
