"""What a kernel is: the function that makes one merged tensor.  And what may help it.

Most methods need nothing but their ingredients.  Some say more of themselves, so that a search does
not do the same work for every candidate:

* a `Mixture` is a weighted sum of its inputs whose weights follow from inner products (slerp, Model
  Stock): the products are taken once per experiment;
* a `Preparation` turns the task vectors into others, which are then only summed (TSV-M): made once
  for all candidates that agree in the parameters it depends on;
* a `Survey` looks at the whole model before the first tensor is merged (a threshold over all tensors).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ingredients:
    """Everything that one merged tensor is made of.

    Attributes:
        parents: One tensor per parent, all of one shape; without the base, except for methods that
            count it as a parent (slerp: it comes first).
        base: The common ancestor's tensor, where the method uses one.
        per_parent: Parameter name -> one number per parent (`weight`, `density`).
        shared: Parameter name -> number (`t`, `lambda`, `normalize`).
        choices: Parameter name -> the word chosen (`granularity` -> `row`).
        seeds: One per parent, for methods that draw masks: a function of the recipe's seed, the
            parent and the tensor's name alone, so that a mask depends on nothing else.
        name: The merged tensor's name, for methods that treat embeddings or norms apart.
        records: Kind (`fisher`) -> one recorded tensor per parent, None where it has none.
        base_records: Kind -> the base's.
        findings: What the method's survey of the whole model found.
    """

    parents: tuple[Tensor, ...]
    base: Tensor | None = None
    per_parent: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    shared: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    records: Mapping[str, tuple[Tensor | None, ...]] = field(default_factory=dict)
    base_records: Mapping[str, Tensor | None] = field(default_factory=dict)
    findings: Any = None


Kernel = Callable[[Ingredients], Tensor]
"""Returns the merged tensor in float32, or in the parents' dtype where that is wider; the caller
rounds it, once.  A kernel may return an input itself, unchanged, and never writes to one.
"""


class Portion(Protocol):
    """One tensor of the merged model, before its weights are read."""

    @property
    def name(self) -> str:
        """The merged tensor's name."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    @property
    def per_parent(self) -> Mapping[str, tuple[float, ...]]:
        """As in Ingredients."""
        ...

    @property
    def shared(self) -> Mapping[str, float]:
        """As in Ingredients."""
        ...

    @property
    def choices(self) -> Mapping[str, str]:
        """As in Ingredients."""
        ...

    def load(self) -> Ingredients:
        """Reads its weights; they are let go when the caller lets them go."""
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """A look at the whole model before its first tensor is merged.

    Attributes:
        look: Gets all portions that the method makes, in the model's order, and may load each of
            them several times; what it returns is every kernel call's `findings`.
        depends_on: The parameters whose values change what is found; between candidates that agree
            in them it is kept.
        measure: Of a method that prepares tensors (`Preparation`): what the survey wants to know of one
            portion, given its ingredients and what was prepared of them.
        combine: Makes the findings of all portions' measures, in order.
    """

    look: Callable[[Sequence[Portion]], object]
    depends_on: tuple[str, ...] = ()
    measure: Callable[[Ingredients, tuple[Tensor, ...]], Any] | None = None
    combine: Callable[[Sequence[Any]], object] | None = None


@dataclass(frozen=True, slots=True)
class Scalars:
    """What the weights of a mixture follow from.

    Attributes:
        gram: Inner products [n, n] in float64 of the mixture's vectors: of the parents (then the
            base, where there is one), or of the task vectors.
        size: How many entries a vector has.
        findings: What the method's survey of the whole model found.
    """

    per_parent: Mapping[str, tuple[float, ...]]
    shared: Mapping[str, float]
    choices: Mapping[str, str]
    gram: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    with_base: bool
    size: int
    findings: Any = None


@dataclass(frozen=True, slots=True)
class Mixture:
    """W = sum_i c_i W_i + c_0 W_0, where the c follow from parameters and inner products.

    Attributes:
        weights: Returns c_1 ... c_n, and c_0 last where there is a base.
        products_of: The vectors whose inner products it needs: `inputs` are the parents' tensors and
            then the base's, `task_vectors` the differences from the base (the parents themselves
            where there is no base), `nothing` leaves `gram` empty.
        applies: Says whether a plan's choices make it a mixture (row by row, it is none).
    """

    weights: Callable[[Scalars], tuple[float, ...]]
    products_of: Literal["inputs", "task_vectors", "nothing"]
    applies: Callable[[Mapping[str, str], Mapping[str, float]], bool] = lambda _choices, _shared: True


@dataclass(frozen=True, slots=True)
class Preparation:
    """W = W_0 + sum_j c_j E_j, where the E_j are expensive to make and the c_j cheap.

    Attributes:
        make: Returns the E_j, float32, each of the base's shape; or what `finish` makes them of.
        coefficients: Returns the c_j.
        depends_on: The parameters whose values change what is made.
        finish: Makes the E_j of what was made, where more than their weights differs between candidates.
    """

    make: Callable[[Ingredients], tuple[Tensor, ...]]
    coefficients: Callable[[Ingredients], tuple[float, ...]]
    depends_on: tuple[str, ...] = ()
    finish: Callable[[Ingredients, tuple[Tensor, ...]], tuple[Tensor, ...]] = lambda _ingredients, made: made
