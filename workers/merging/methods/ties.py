"""TIES: trim, elect a sign, merge what agrees.

Yadav et al., "TIES-Merging", arXiv 2306.01708, algorithm 1.

    d_i = trim(W_i - W_0, density_i)                            the largest entries by magnitude
    s   = sign(sum_i w_i d_i),  m_i = [sign(w_i d_i) = s]       elementwise
    W   = W_0 + lambda sum_i m_i w_i d_i / sum_i m_i w_i        (without `normalize`: undivided)

W_0, W_i, d_i, s, m_i [...] of one shape; w_i, density_i, lambda numbers.  `merge_function` says what is
made of the entries that agree: `mean` is the above, `sum` never divides, `max` takes the largest
|w_i d_i| with the elected sign.

`granularity` says among which entries a task vector is trimmed (workers.merging.thinning.trimming).  `tensor`
follows mergekit 0.1.5.  `row` does the same in every row.  `global` follows the paper's own code
(weights 1; density K/100; dis-mean, dis-sum and dis-max are mean, sum and max): one threshold per
parent over the whole model, and where sum_i w_i d_i is zero the sign that most entries of the model
have is elected, instead of plus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from workers.merging.arithmetic.sign_election import merge_by_elected_sign
from workers.merging.arithmetic.task_vectors import base_tensor, rescaled, weighted_task_vectors
from workers.merging.kernel import Ingredients, Portion, Survey
from workers.merging.thinning.global_thresholds import (
    GlobalFindings,
    find_bands,
    found_globally,
    global_portions,
)
from workers.merging.thinning.trimming import trim, trimming_ranks


def ties(ingredients: Ingredients) -> Tensor:
    """Returns the base plus what is made of the trimmed task vectors where they agree in sign."""
    ranked_globally = ingredients.choices["granularity"] == "global"
    return merge_by_elected_sign(
        ingredients,
        rescaled(trim),
        merge_function=ingredients.choices["merge_function"],
        at_zero=found_globally(ingredients).majority if ranked_globally else 1.0,
    )


def _look(portions: Sequence[Portion]) -> GlobalFindings | None:
    """Finds every parent's threshold, then the majority's sign."""
    ranked = global_portions(portions)
    if not ranked:
        return None
    findings = GlobalFindings(find_bands(ranked, ("density",), _ranks))
    signs = sum(_sum_of_signs(replace(portion.load(), findings=findings)) for portion in ranked)
    return replace(findings, majority=-1.0 if signs < 0 else 1.0)


def _ranks(count: int, values: Mapping[str, float]) -> tuple[int, int]:
    return trimming_ranks(count, values["density"])


def _sum_of_signs(ingredients: Ingredients) -> int:
    base = base_tensor(ingredients)
    total = torch.zeros_like(base)
    for weight, delta in weighted_task_vectors(ingredients, base, rescaled(trim)):
        total.add_(delta.mul_(weight))
    return int((total > 0).sum()) - int((total < 0).sum())


SURVEY = Survey(_look, ("granularity", "density", "weight", "rescale"))
