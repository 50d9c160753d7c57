"""What can be learned of a merge: numbers that a gradient reaches, and the recipe that they mean.

Both forms add task vectors, W = W_0 + sum_i c_ig d_i, with one c per parent i and group g of tensors.

* `LearnedWeights`: the c themselves.  One per parent (task-wise AdaMerging), per parent and layer
  (layer-wise AdaMerging, Yang et al., arXiv 2310.02575), or per parent and tensor (aTLAS, Zhang et al.,
  arXiv 2407.02880).  As a recipe: task arithmetic whose weights are filtered by tensor name.
* `LearnedPositions`: c = lambda V(a), the chain of arcs of Self Positioning (Li et al., arXiv
  2410.15035), for which the task vectors' inner products are enough.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.recipes.settings import Parameters, Setting, constant

_PARALLEL = 1.0 - 1e-12
_LEAST_POSITION = 1e-6  # a chain of which all positions are 0 leads nowhere


@dataclass(frozen=True, slots=True)
class Filter:
    """The tensors whose names hold this text (None: all) belong to this group."""

    text: str | None
    group: int


class LearnedForm(ABC):
    """Numbers to be learned, and how they make coefficients and a recipe."""

    @property
    @abstractmethod
    def numbers(self) -> list[Tensor]:
        """What an optimizer may change; float64."""

    @abstractmethod
    def coefficients(self) -> Tensor:
        """Returns the task vectors' coefficients [parents, groups], which depend on the numbers."""

    @abstractmethod
    def clamp(self) -> None:
        """Brings the numbers back into their range."""

    @abstractmethod
    def recipe(self) -> Recipe:
        """Returns the recipe that the numbers mean now."""

    @abstractmethod
    def add_penalty(self) -> None:
        """Adds the gradient of what is added to the objective, if anything is."""


class LearnedWeights(LearnedForm):
    """One weight per parent and group of tensors."""

    def __init__(
        self,
        base: Parent,
        filters: Mapping[Parent, Sequence[Filter]],
        *,
        initial: float,
        bounds: tuple[float, float],
    ) -> None:
        """Takes the filters by which each parent's tensors find their group; the first that fits counts."""
        self._base, self._filters, self._bounds = base, filters, bounds
        groups = 1 + max(one.group for found in filters.values() for one in found)
        self._weights = torch.full((len(filters), groups), initial, dtype=torch.float64, requires_grad=True)

    @property
    def numbers(self) -> list[Tensor]:
        """The weights [parents, groups]."""
        return [self._weights]

    def coefficients(self) -> Tensor:
        """Returns the weights."""
        return self._weights

    @torch.no_grad()
    def clamp(self) -> None:
        """Brings the weights back between the bounds."""
        self._weights.clamp_(*self._bounds)

    def add_penalty(self) -> None:
        """Adds nothing: bounds are all that weights are held by."""

    def recipe(self) -> Recipe:
        """Returns task arithmetic with these weights."""
        sources = {
            parent: {"weight": _settings(filters, self._weights[number].tolist())}
            for number, (parent, filters) in enumerate(self._filters.items())
        }
        return _recipe("task_arithmetic", self._base, sources, {})


class LearnedPositions(LearnedForm):
    """One position per parent, and one factor for all."""

    def __init__(
        self, base: Parent, parents: Sequence[Parent], gram: Tensor, *, initial: float, penalty: float
    ) -> None:
        """Takes the task vectors' inner products [parents, parents] over the whole model, in float64."""
        self._base, self._parents, self._gram, self._penalty = base, tuple(parents), gram, penalty
        self._positions = torch.full((len(parents),), initial, dtype=torch.float64, requires_grad=True)
        self._factor = torch.ones((), dtype=torch.float64, requires_grad=True)

    @property
    def numbers(self) -> list[Tensor]:
        """The positions [parents] and the factor."""
        return [self._positions, self._factor]

    def coefficients(self) -> Tensor:
        """Returns lambda V(a) [parents, 1]."""
        return (self._factor * chain_of_arcs(self._gram, self._positions))[:, None]

    @torch.no_grad()
    def clamp(self) -> None:
        """Keeps positions positive and the factor from turning negative."""
        self._positions.clamp_(min=_LEAST_POSITION)
        self._factor.clamp_(min=0.0)

    def recipe(self) -> Recipe:
        """Returns Self Positioning with these positions."""
        positions = self._positions.tolist()
        sources: dict[Parent, Parameters] = {
            parent: {"position": constant(position)}
            for parent, position in zip(self._parents, positions, strict=True)
        }
        return _recipe("self_positioning", self._base, sources, {"lambda": constant(self._factor.item())})

    def add_penalty(self) -> None:
        """Adds the gradient of mu lambda, which keeps the merged task vector short."""
        slope = torch.full_like(self._factor, self._penalty)
        self._factor.grad = slope if self._factor.grad is None else self._factor.grad + slope


def chain_of_arcs(gram: Tensor, positions: Tensor) -> Tensor:
    """Returns V_N as coefficients [n] of the task vectors, through which a gradient flows.

    The same chain as `workers.merging.methods.self_positioning`, where its formulas stand.

    Args:
        gram: Inner products [n, n].
        positions: a_1 ... a_n, positive.
    """
    count = len(positions)
    units = torch.eye(count, dtype=gram.dtype)
    chain = units[0]
    for n in range(1, count):
        share = positions[n] / (positions[:n].mean() + positions[n])
        length, own = (chain @ gram @ chain).sqrt(), gram[n, n].sqrt()
        straight = float(length) == 0.0 or float(own) == 0.0
        cosine = torch.zeros_like(own) if straight else (chain @ gram @ units[n]) / (length * own)
        if abs(float(cosine)) > _PARALLEL:
            chain = (1 - share) * chain + share * units[n]
            continue
        angle = torch.arccos(cosine)
        ends = torch.sin((1 - share) * angle), torch.sin(share * angle)
        chain = (ends[0] * chain + ends[1] * units[n]) / torch.sin(angle)
    return chain


def _settings(filters: Sequence[Filter], values: Sequence[float]) -> tuple[Setting, ...]:
    return tuple(Setting(value=values[one.group], filter=one.text) for one in filters)


def _recipe(method: str, base: Parent, sources: Mapping[Parent, Parameters], shared: Parameters) -> Recipe:
    parts = tuple(Source(parent=parent, parameters=dict(own)) for parent, own in sources.items())
    return Recipe(method=method, base=base, slices=(Slice(sources=parts),), parameters=dict(shared))
