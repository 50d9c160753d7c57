"""ComPEFT: the task vectors as three values each, sign or zero, times one number for the whole model.

Yadav et al., "ComPEFT", arXiv 2311.13171, algorithm 1.

    d_i = alpha_i sigma_i sgn(W_i - W_0) 1[|W_i - W_0| >= threshold_i]
    W   = W_0 + lambda sum_i w_i d_i

W_0, W_i, d_i [...] of one shape.  Global: sigma_i is the standard deviation (n - 1 in the denominator)
of all entries of the parent's task vector, and threshold_i the magnitude whose rank, counted from 0 at
the largest, is floor(density_i D); as in the paper's code, what equals it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from workers.merging.arithmetic.moments import Moments
from workers.merging.arithmetic.task_vectors import add_task_vectors
from workers.merging.kernel import Ingredients, Portion, Survey
from workers.merging.thinning.global_thresholds import (
    GlobalFindings,
    band_of,
    entries_per_parent,
    find_bands,
    found_globally,
    task_vectors_of,
)
from workers.merging.thinning.sparsify import keep_between
from workers.merging.thinning.trimming import trimming_ranks


def compeft(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the weighted sum of the task vectors, each brought to three values."""
    return add_task_vectors(ingredients, _to_three_values)


def _to_three_values(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
    step = ingredients.per_parent["alpha"][parent] * found_globally(ingredients).deviations[parent]
    # NaN and infinity have made the deviation NaN, and so every entry that is kept.
    return keep_between(delta, *band_of(ingredients, parent)).sign_().mul_(step)


def _look(portions: Sequence[Portion]) -> GlobalFindings:
    """Finds every parent's threshold and standard deviation."""
    bands = find_bands(portions, ("density",), _ranks)
    moments = [Moments() for _ in entries_per_parent(portions)]
    for parent, delta in task_vectors_of(portions, moments):
        moments[parent].add(delta)
    return GlobalFindings(bands, tuple(found.deviation() for found in moments))


def _ranks(count: int, values: Mapping[str, float]) -> tuple[int, int]:
    return trimming_ranks(count, values["density"])


SURVEY = Survey(_look, ("density",))
