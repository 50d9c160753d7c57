"""Grafting without data: only the largest entries of the task vectors, over the whole model, are grafted.

Panigrahi et al., "Task-Specific Skill Localization in Fine-tuned Language Models", arXiv 2302.06600,
section 2: the grafted model, with the mask that training starts from (the top s of |W_i - W_0|).

    W = W_0 + lambda sum_i w_i 1[|W_i - W_0| >= threshold_i] (W_i - W_0)

W_0, W_i [...] of one shape.  threshold_i is the k-th largest magnitude of the parent's whole task
vector, k = floor(density_i D), at least 1; what equals it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from workers.merging.arithmetic.task_vectors import add_task_vectors
from workers.merging.kernel import Ingredients, Portion, Survey
from workers.merging.thinning.global_thresholds import GlobalFindings, band_of, find_bands
from workers.merging.thinning.sparsify import keep_between, share_of


def grafting(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the weighted sum of the largest entries of the task vectors."""
    return add_task_vectors(ingredients, _keep_largest_of_all)


def _keep_largest_of_all(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
    return keep_between(delta, *band_of(ingredients, parent))


def _look(portions: Sequence[Portion]) -> GlobalFindings:
    """Finds every parent's threshold."""
    return GlobalFindings(find_bands(portions, ("density",), _ranks))


def _ranks(count: int, values: Mapping[str, float]) -> tuple[int, int]:
    return 0, max(1, share_of(count, values["density"])) - 1


SURVEY = Survey(_look, ("density",))
