"""Model kinship: how alike fine-tuned models are, from the inner products of their task vectors.

Hu et al., "Exploring Model Kinship for Merging Large Language Models", arXiv 2410.12613, section 3, and
the similarity by which Zhao et al. cluster models ("Model-GLUE", arXiv 2410.05357).  One pass over all
weights, tensor by tensor; sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.layout import Layout
from workers.checkpoints.parents import CheckpointReader
from workers.compatibility.loaded_parents import load_parent
from workers.errors import MergeError, MismatchError
from workers.merging.arithmetic.precision import check_finite, chunk_length
from workers.merging.fit import is_buffer, is_mergeable
from workers.protocol.kinship_orders import Kinship, KinshipInquiry, KinshipReport

Table = np.ndarray[tuple[int, int], np.dtype[np.float64]]


@torch.no_grad()
def kinship(inquiry: KinshipInquiry) -> KinshipReport:
    """Returns how alike every two parents are.

    Raises:
        CheckpointError: A model is missing or broken.
        MergeError: Fewer than two parents are named, or weights are NaN or infinite.
        MismatchError: The models have no tensor in common.
    """
    if len(inquiry.parents) < 2:
        raise MergeError("parents", f"{len(inquiry.parents)} named", "name two or more models to compare")
    models = (*inquiry.parents, *([inquiry.base] if inquiry.base is not None else []))
    layouts = {model: load_parent(model) for model in models}
    names, left_out = common_tensors(list(layouts.values()))
    if not names:
        raise MismatchError("parents", "the models have no tensor in common", "name models of one kind")
    sums = KinshipSums(len(inquiry.parents))
    with CheckpointReader(layouts) as reader:
        for name in names:
            weights = [_read(reader, parent, name) for parent in inquiry.parents]
            base = None if inquiry.base is None else _read(reader, inquiry.base, name)
            sums.add(weights, base, columns=_by_column(layouts[models[0]], name, weights[0], inquiry.parts))
    return KinshipReport(inquiry.parents, sums.pairs(), len(names), left_out)


def common_tensors(layouts: Sequence[Layout]) -> tuple[list[str], int]:
    """Returns the tensors that all models have in one shape, in order, and how many others there are."""
    first, *others = layouts
    numbers = {
        name: entry
        for name, entry in first.tensors.items()
        if is_mergeable(entry) and not is_buffer(name, entry)
    }
    alike = [
        name
        for name, entry in numbers.items()
        if all(_same_shape(other, name, entry.shape) for other in others)
    ]
    known = set(numbers).union(*(other.tensors for other in others))
    return alike, len(known) - len(alike)


class KinshipSums:
    """What kinship is computed from, for some parents: sums over tensors that are added one by one."""

    def __init__(self, parents: int) -> None:
        self._whole = _Moments.of(parents)
        self._weighted: dict[tuple[int, int], list[float]] = {
            pair: [0.0, 0.0, 0.0] for pair in combinations(range(parents), 2)
        }
        self._columns: dict[tuple[int, int], list[float]] = {pair: [] for pair in self._weighted}

    def add(self, weights: Sequence[Tensor], base: Tensor | None, *, columns: bool) -> None:
        """Takes in one tensor of every parent, [...] of one shape.

        Args:
            weights: Of the parents.
            base: Of their ancestor, where task vectors are compared.
            columns: Compares the weights, [rows, columns], by column as well.
        """
        moments = _moments(weights, base)
        self._whole.add(moments)
        for pair, sums in self._weighted.items():
            for place, value in enumerate(moments.likeness(*pair)):
                sums[place] += value * moments.count
        if columns:
            for first, second in self._columns:
                self._columns[first, second].append(_column_cosine(weights[first], weights[second]))

    def pairs(self) -> tuple[Kinship, ...]:
        """Returns how alike every two parents are."""
        found = []
        for (first, second), sums in self._weighted.items():
            correlation, cosine, distance = self._whole.likeness(first, second)
            means = [value / max(self._whole.count, 1) for value in sums]
            columns = self._columns[first, second]
            found.append(
                Kinship(
                    first=first,
                    second=second,
                    correlation=correlation,
                    cosine=cosine,
                    distance=distance,
                    mean_correlation=means[0],
                    mean_cosine=means[1],
                    mean_distance=means[2],
                    column_cosine=math.fsum(columns) / len(columns) if columns else 0.0,
                )
            )
        return tuple(found)


@dataclass(slots=True)
class _Moments:
    """Of vectors x_i: how long they are, sum x_i [n] and <x_i, x_j> [n, n]."""

    count: int
    totals: np.ndarray[tuple[int], np.dtype[np.float64]]
    gram: Table = field(repr=False)

    @classmethod
    def of(cls, vectors: int) -> _Moments:
        return cls(0, np.zeros(vectors), np.zeros((vectors, vectors)))

    def add(self, other: _Moments) -> None:
        self.count += other.count
        self.totals += other.totals
        self.gram += other.gram

    def likeness(self, first: int, second: int) -> tuple[float, float, float]:
        """Returns Pearson's correlation, |cosine| and Euclidean distance; of nothing and anything, 0."""
        own, other, both = self.gram[first, first], self.gram[second, second], self.gram[first, second]
        sums = self.totals[first], self.totals[second]
        spread = max(self.count * own - sums[0] ** 2, 0.0), max(self.count * other - sums[1] ** 2, 0.0)
        correlation = _ratio(
            self.count * both - sums[0] * sums[1], math.sqrt(spread[0]) * math.sqrt(spread[1])
        )
        cosine = abs(_ratio(both, math.sqrt(own) * math.sqrt(other)))
        return correlation, cosine, math.sqrt(max(own + other - 2 * both, 0.0))


def _ratio(above: float, below: float) -> float:
    return min(1.0, max(-1.0, above / below)) if below > 0.0 else 0.0


def _moments(weights: Sequence[Tensor], base: Tensor | None) -> _Moments:
    found = _Moments.of(len(weights))
    flat = [weight.reshape(-1) for weight in weights]
    origin = None if base is None else base.reshape(-1)
    length = chunk_length(flat[0].device)
    for start in range(0, flat[0].numel(), length):
        part = slice(start, start + length)
        vectors = torch.stack([vector[part].double() for vector in flat])
        if origin is not None:
            vectors -= origin[part].double()
        products = (vectors @ vectors.T).cpu().numpy()
        found.add(_Moments(vectors.shape[1], vectors.sum(1).cpu().numpy(), products))
    return found


def _column_cosine(first: Tensor, second: Tensor) -> float:
    """Returns the mean over columns of the cosine of two matrices' columns; of a column of zeros, 0."""
    products = torch.zeros(3, first.shape[1], dtype=torch.float64, device=first.device)
    step = max(1, chunk_length(first.device) // max(first.shape[1], 1))
    for start in range(0, first.shape[0], step):
        mine, theirs = first[start : start + step].double(), second[start : start + step].double()
        products += torch.stack([(mine * theirs).sum(0), mine.square().sum(0), theirs.square().sum(0)])
    lengths = products[1].sqrt() * products[2].sqrt()
    return float((products[0] / lengths.where(lengths > 0.0, torch.ones_like(lengths))).mean())


def _by_column(layout: Layout, name: str, tensor: Tensor, parts: Sequence[str]) -> bool:
    if tensor.dim() != 2 or 0 in tensor.shape or layout.layer_of(name) is None:
        return False
    return not parts or any(part in name for part in parts)


def _read(reader: CheckpointReader, parent: Parent, name: str) -> Tensor:
    tensor = reader.read(parent, name)
    check_finite(f"{parent}: {name}", tensor)
    return tensor


def _same_shape(layout: Layout, name: str, shape: Sequence[int]) -> bool:
    entry = layout.tensors.get(name)
    return entry is not None and is_mergeable(entry) and tuple(entry.shape) == tuple(shape)
