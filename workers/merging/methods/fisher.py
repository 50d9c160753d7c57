"""Average weighted by diagonal Fisher information: a parent counts more where its loss is more sensitive.

Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", arXiv 2111.09832, equation 5.

    W = sum_i c_i F_i W_i / sum_i c_i F_i

W_i [...] any shape; F_i [...] the recorded diagonal, >= 0; c_i a number.  Two published variants differ
in how they treat entries that matter to no parent, and in how they make parents comparable (`normalize`),
with |F_i| the 2-norm over all tensors of the parent and e = `fisher_floor`:

* floor `add` (MergeLM):          F + e everywhere;  c_i <- c_i n_i / sum_j n_j,  n_i = 1 / (|F_i| + 1e-6)
* floor `raise_all` (the paper):  max(F, e) for all parents;              c_i <- c_i / |F_i|
* floor `raise_first`:            max(F, e) for the first parent, so that it decides alone where nothing
                                  matters to the others;                  c_i <- c_i / |F_i|

Where all c_i F_i are 0, the parents are averaged with the weights alone.  e is an absolute number: the
Fisher of a large language model is often below 1e-6, and then the default floor hides it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.precision import accumulation_dtype, chunk_length
from workers.merging.arithmetic.recorded import diagonals
from workers.merging.arithmetic.weighting import normalizer
from workers.merging.kernel import Ingredients, Portion, Survey

_SMALLEST_NORM = 1e-6


@dataclass(frozen=True, slots=True)
class FisherNorms:
    """The 2-norm of all that is recorded of each parent, in the order of the sources."""

    norms: tuple[float, ...]


def fisher(ingredients: Ingredients) -> Tensor:
    """Returns the Fisher-weighted average [...], in float32 or wider.

    Raises:
        MergeError: A parent has no Fisher record of this tensor, or all weights are 0.
    """
    weights = ingredients.per_parent["weight"]
    normalizer(weights, switch="the average")
    factors = _factors(ingredients, weights)
    found = diagonals(ingredients, "fisher")
    dtype = accumulation_dtype(ingredients.parents[0])
    numerator = torch.zeros_like(ingredients.parents[0], dtype=dtype)
    denominator, average = torch.zeros_like(numerator), torch.zeros_like(numerator)
    total = math.fsum(weights)
    for number, (parent, record) in enumerate(zip(ingredients.parents, found, strict=True)):
        if weights[number] == 0.0:
            continue
        own = parent.to(dtype)
        say = _floored(record.to(dtype), ingredients, number) * factors[number]
        numerator.addcmul_(say, own)
        denominator.add_(say)
        average.add_(own, alpha=weights[number] / total)
    # NaN in a record must come through: only an exact 0 is replaced.
    return torch.where(denominator == 0.0, average, numerator.div_(denominator))


def _floored(record: Tensor, ingredients: Ingredients, number: int) -> Tensor:
    least, how = ingredients.shared["fisher_floor"], ingredients.choices["floor"]
    if how == "add":
        return record + least
    return record.clamp(min=least) if how == "raise_all" or number == 0 else record


def _factors(ingredients: Ingredients, weights: Sequence[float]) -> tuple[float, ...]:
    """Returns c_i, scaled to sum to 1: a common factor changes nothing, and keeps the sums in range."""
    factors = list(weights)
    if ingredients.shared["normalize"]:
        norms = _norms(ingredients)
        if ingredients.choices["floor"] == "add":
            scales = [1.0 / (norm + _SMALLEST_NORM) for norm in norms]
        else:
            scales = [1.0 / (norm if norm > 0.0 else _SMALLEST_NORM) for norm in norms]
        total = math.fsum(scales)
        factors = [weight * scale / total for weight, scale in zip(weights, scales, strict=True)]
    total = math.fsum(factors)
    return tuple(factor / total for factor in factors)


def _norms(ingredients: Ingredients) -> tuple[float, ...]:
    findings = ingredients.findings
    if not isinstance(findings, FisherNorms) or len(findings.norms) < len(ingredients.parents):
        raise MergeError(
            "fisher",
            "the norms over the whole model are not known",
            "write normalize: false to merge without",
        )
    return findings.norms[: len(ingredients.parents)]


def _look(portions: Sequence[Portion]) -> FisherNorms | None:
    """Sums the squares of all records, in float64; None where no tensor is normalized.

    Raises:
        MergeError: A parent has no record of some tensor.
    """
    if not any(portion.shared["normalize"] for portion in portions):
        return None
    squares: list[float] = []
    for portion in portions:
        for number, record in enumerate(diagonals(portion.load(), "fisher")):
            squares += [0.0] * (number + 1 - len(squares))
            squares[number] += _square(record)
    return FisherNorms(tuple(math.sqrt(square) for square in squares))


def _square(record: Tensor) -> float:
    flat, length = record.reshape(-1), chunk_length(record.device)
    total = torch.zeros((), dtype=torch.float64, device=record.device)
    for start in range(0, flat.numel(), length):
        part = flat[start : start + length].double()
        total += torch.dot(part, part)
    return float(total)


FISHER_SURVEY = Survey(_look, depends_on=("normalize",))
