"""PCB-Merging: parameters compete, and the winners are averaged by how well they did.

Du et al., "Parameter Competition Balancing for Model Merging", arXiv 2410.02396, as the
authors' code computes it.  With d_i the task vectors of T parents, each one vector of D entries:

    a_i = |d_i| clipped to its own quantiles [clamp, 1 - clamp],  c_i = sgn(d_i) a_i
    N_i = (a_i - min a_i) / (max a_i - min a_i),                  z_i = sgn(d_i) N_i
    b_i = exp(T N_i^2) sum_j tanh(z_i z_j)                        variant `es`
    b_i = exp(T N_i^2) tanh(d_i sum_j d_j)                        variants `script` and `nlp`
    s_i = b_i cut off below at its (1 - density) quantile, brought to [0, 1]
    W   = W_0 + lambda sum_i w_i c_i s_i / sum_i s_i

The paper writes softmaxes where the code has exp and tanh.  The variant with which the code evolves the
w_i, `es`, is the default; `script` and `nlp` share a formula, and the code's script clips at 0.0001
where all else clips at 0.01.

The quantiles are taken over the whole model (`granularity: global`, which takes a survey), or over each
tensor.  Where all magnitudes are equal, N_i is 1 (0 where they are 0); where all kept scores are equal,
s_i is 1 (0 unless they are positive).  So nothing is divided by zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.arithmetic.whole_model import (
    check_same_everywhere,
    chunks_of_all,
    entrywise,
    sound_chunks,
    summed,
    surveyed,
)
from workers.merging.kernel import Ingredients, Portion, Survey
from workers.merging.thinning.order_statistics import largest_of_several

Chunks = Callable[[], Iterable[Tensor]]
"""Gives the task vectors in pieces [P, n], every time anew."""

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Standings:
    """What the entries are measured by, for every parent.

    Attributes:
        magnitudes: Least and largest magnitude after clipping.
        scores: The score below which nothing is kept, and the highest.
    """

    magnitudes: tuple[Bounds, ...]
    scores: tuple[Bounds, ...]


def pcb(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the mean of the task vectors' winning entries, weighted by their scores."""
    variant, weights = ingredients.choices["variant"], ingredients.per_parent["weight"]
    standings = _standings_of(ingredients)

    def winners(deltas: Tensor) -> Tensor:
        scores_PN = _scores(deltas, standings.magnitudes, variant)
        merged, divisor = torch.zeros_like(deltas[0]), torch.zeros_like(deltas[0])
        for i, weight in enumerate(weights):
            share = _between(scores_PN[i].clamp_(min=standings.scores[i][0]), standings.scores[i])
            divisor += share
            merged += _clipped(deltas[i], standings.magnitudes[i]).mul_(share).mul_(weight)
        merged /= divisor.clamp_(min=1e-12)
        # Adds nothing, unless a broken number was clipped or lost.
        return merged.add_(summed(deltas).mul_(0.0))

    return entrywise(ingredients, winners)


def _standings_of(ingredients: Ingredients) -> Standings:
    """Returns the survey's standings, or those over this tensor alone."""
    if ingredients.choices["granularity"] == "global":
        return surveyed(ingredients, Standings)
    shape = (len(ingredients.parents), base_tensor(ingredients).numel())
    variant = ingredients.choices["variant"]
    return _standings(lambda: sound_chunks(ingredients), shape, ingredients.shared, variant)


def _look(portions: Sequence[Portion]) -> Standings | None:
    """Finds every parent's standings over the tensors that are ranked together."""
    ranked = [portion for portion in portions if portion.choices["granularity"] == "global"]
    if not ranked:
        return None
    check_same_everywhere(ranked, ("variant", "density", "clamp"))
    # In a stack of slices, the first parent of every slice counts as one, and so the second.
    parents = max(len(portion.per_parent["weight"]) for portion in ranked)
    entries = sum(math.prod(portion.shape) for portion in ranked)

    def chunks() -> Iterable[Tensor]:
        return (_with_rows(chunk, parents) for chunk in chunks_of_all(ranked))

    return _standings(chunks, (parents, entries), ranked[0].shared, ranked[0].choices["variant"])


PCB_SURVEY = Survey(_look, ("granularity", "variant", "density", "clamp"))


def _with_rows(chunk: Tensor, parents: int) -> Tensor:
    """Returns the chunk [P, n] in which parents that have no part in a tensor have a task vector of zeros."""
    missing = chunk.new_zeros((parents - chunk.shape[0], chunk.shape[1]))
    return torch.cat([chunk, missing])


def _standings(chunks: Chunks, shape: Sequence[int], shared: Mapping[str, float], variant: str) -> Standings:
    """Returns the standings over all chunks; `shape` is [P, D] of them together."""
    parents, entries = shape
    if parents == 0 or entries == 0:
        return Standings((), ())
    lowest = min(int(entries * shared["clamp"]), entries - 1)
    highest = max(int(entries * (1 - shared["clamp"]) - 1), lowest)
    ranks = [(entries - 1 - lowest, entries - 1 - highest)] * parents
    found = largest_of_several(lambda: _rows(chunks()), ranks)
    magnitudes = tuple((low, high) for low, high in found)
    cut = min(int(entries * (1 - shared["density"])), entries - 1)
    scores = _signed_bounds(lambda: (_scores(c, magnitudes, variant) for c in chunks()), shape, cut)
    return Standings(magnitudes, scores)


def _rows(chunks: Iterable[Tensor]) -> Iterable[tuple[int, Tensor]]:
    return ((i, row) for chunk in chunks for i, row in enumerate(chunk))


def _signed_bounds(chunks: Chunks, shape: Sequence[int], place: int) -> tuple[Bounds, ...]:
    """Returns each row's value at a place in ascending order, and its largest value.

    Order statistics are found of magnitudes, so the values above zero are looked at first, and those
    below only where the answer is among them.
    """
    parents, entries = shape
    above = largest_of_several(
        lambda: _rows(chunk.clamp(min=0.0) for chunk in chunks()), [(entries - 1 - place, 0)] * parents
    )
    if all(value > 0.0 for values in above for value in values):
        return tuple((value, largest) for value, largest in above)
    below = largest_of_several(
        lambda: _rows((-chunk).clamp(min=0.0) for chunk in chunks()), [(place, entries - 1)] * parents
    )
    return tuple((up[0] or -down[0], up[1] or -down[1]) for up, down in zip(above, below, strict=True))


def _scores(deltas: Tensor, magnitudes: Sequence[Bounds], variant: str) -> Tensor:
    """Returns the scores b [P, N]."""
    parents = deltas.shape[0]
    sizes_PN = torch.stack([_clipped(d.abs(), m) for d, m in zip(deltas, magnitudes, strict=False)])
    normed_PN = torch.stack([_between(a, m) for a, m in zip(sizes_PN, magnitudes, strict=False)])
    intra_PN = (normed_PN * normed_PN).mul_(parents).exp_()
    if variant != "es":
        return intra_PN.mul_((deltas * summed(deltas)).tanh_())
    signed_PN = deltas.sign().mul_(normed_PN)
    inter_PN = torch.zeros_like(deltas)
    for other_N in signed_PN:
        inter_PN += (signed_PN * other_N).tanh_()
    return intra_PN.mul_(inter_PN)


def _clipped(delta: Tensor, bounds: Bounds) -> Tensor:
    """Returns the entries, their signs kept and their magnitudes clipped; zeros stay zeros."""
    return delta.sign().mul_(delta.abs().clamp_(*bounds))


def _between(values: Tensor, bounds: Bounds) -> Tensor:
    """Returns values of [low, high] as parts of the way between; the top alone is 1 where there is none."""
    low, high = bounds
    if low == high:
        return (values >= high).to(values.dtype).mul_(float(high > 0.0))
    return ((values - low) / (high - low)).clamp_(min=0.0)
