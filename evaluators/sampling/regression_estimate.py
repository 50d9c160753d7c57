"""What a model would score on all items, from its answers to some of them and its parents' to all.

A child answers much as its parents do, so what the parents scored on the items asked, compared with
what they scored on all, says how easy those items are.  The generalized regression estimator of
survey sampling (Cassel, Särndal and Wretman, 1976) turns that into a correction: with y the child's
answers to n of N items and x the parents' to the same, b the slope of y on x,

    value = mean(y) + b (mean of x over all N - mean of x over the n).

The slope is shrunk towards 0, for n is often small.  The standard error counts two things: that only n
of the N items were asked, and that the N themselves are a sample.  MERGE3 (2502.10436) has the same
premise and fits abilities of an item response model instead.

Torch-free and pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.sampling.racing import Estimate

RIDGE = 2.0  # items' worth of evidence that a slope is 0, per unit of a parent's variance


def regression_estimate(answers: Mapping[int, float], parents: Sequence[Sequence[float]]) -> Estimate:
    """Returns the mean over all items.

    Args:
        answers: The child's fitness by the item's index; at least one.
        parents: The parents' fitness on all items, [parents][items].
    """
    indices = sorted(answers)
    own_n = np.array([answers[index] for index in indices], dtype=np.float64)
    parents_PN = np.asarray(parents, dtype=np.float64)
    value, spread = float(own_n.mean()), _variance(own_n)
    total, left = len(indices), spread
    if len(parents_PN) and len(indices) > 2:
        total = parents_PN.shape[1]
        slope_P = _slope(own_n, parents_PN[:, indices])
        value += float(slope_P @ (parents_PN.mean(axis=1) - parents_PN[:, indices].mean(axis=1)))
        left = min(_variance(own_n - slope_P @ parents_PN[:, indices]), spread)
        # No mean lies beyond what any model has scored on an item.
        lowest, highest = min(own_n.min(), parents_PN.min()), max(own_n.max(), parents_PN.max())
        value = float(min(max(value, lowest), highest))
    asked = len(indices)
    return Estimate(value, math.sqrt(left / asked * (1 - asked / total) + spread / total))


def predicted_mean(
    answers: Mapping[int, float], parents: Sequence[Sequence[float]], indices: Sequence[int]
) -> float:
    """Returns what the same model would score on other items, by the same slope."""
    seen = sorted(answers)
    own_n = np.array([answers[index] for index in seen], dtype=np.float64)
    parents_PN = np.asarray(parents, dtype=np.float64)
    if not len(parents_PN) or len(seen) < 3:
        return float(own_n.mean())
    slope_P = _slope(own_n, parents_PN[:, seen])
    gap_P = parents_PN[:, list(indices)].mean(axis=1) - parents_PN[:, seen].mean(axis=1)
    return float(own_n.mean() + slope_P @ gap_P)


def _slope(own_n: NDArray[np.float64], parents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the ridge regression's slope, shape [parents], on parents of shape [parents, n]."""
    centred_Pn = parents - parents.mean(axis=1, keepdims=True)
    gram_PP = centred_Pn @ centred_Pn.T
    if np.trace(gram_PP) <= 0.0:
        return np.zeros(len(parents))
    ridge_PP = np.eye(len(gram_PP)) * RIDGE * (np.trace(gram_PP) / len(gram_PP)) / own_n.size
    slope: NDArray[np.float64] = np.linalg.solve(gram_PP + ridge_PP, centred_Pn @ (own_n - own_n.mean()))
    return slope


def _variance(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if values.size > 1 else 0.0
