"""What a kernel is: the function that makes one merged tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
        seeds: One per parent, for methods that draw masks: a function of the recipe's seed, the
            parent and the tensor's name alone, so that a mask depends on nothing else.
    """

    parents: tuple[Tensor, ...]
    base: Tensor | None = None
    per_parent: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    shared: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()


Kernel = Callable[[Ingredients], Tensor]
"""Returns the merged tensor in float32, or in the parents' dtype where that is wider; whoever called
rounds it, once.  A kernel may return an input itself, unchanged, and never writes to one.
"""
