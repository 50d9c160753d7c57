"""Held inputs: what one merged tensor is made of, and how the passes see it, kept for candidates to come.

Looking them up takes longer than merging a small tensor, and candidates of a search name the same ones.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from torch import Tensor

from workers.merging.arithmetic.mixtures import Gram
from workers.merging.fast.storage import Array
from workers.merging.plan import Input, TensorPlan


class VectorKey:
    """What a task vector is known by, in caches: a key that is hashed once."""

    __slots__ = ("_content", "_hash")

    def __init__(self, parent: Input, base: Input | None, dtype: str | None) -> None:
        """Names the task vector of a parent's tensor, as read in this format."""
        self._content = (parent, base, dtype)
        self._hash = hash(self._content)

    def __hash__(self) -> int:
        """Returns what was found when the key was made."""
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Says whether both name one task vector."""
        return self is other or (isinstance(other, VectorKey) and self._content == other._content)


@dataclass(frozen=True, slots=True, eq=False)
class Operands:
    """A tensor's inputs and output as the compiled passes want them.

    Attributes:
        parents: Flat, one per input.
        base: As flat; empty where there is none.
        out: What is written.
        paired_parents, paired_base, paired_out: The same memory as pairs, where all of it can be seen so.
        vectors: The keys of the parents' task vectors.
        places: In memory, of the output and of the parents.
    """

    parents: tuple[Array, ...]
    base: Array
    out: Array
    paired_parents: tuple[Array, ...]
    paired_base: Array
    paired_out: Array
    vectors: tuple[VectorKey, ...]
    places: tuple[int, ...]

    @property
    def alone_in_pairs(self) -> bool:
        """Says whether there are parents and no base, and all numbers are seen as pairs."""
        return self.paired_out is not self.out and bool(self.parents) and not len(self.base)


@dataclass(slots=True, eq=False)
class HeldInputs:
    """The tensors that a merged one is made of.

    Attributes:
        parents, base: In the precision that the plan asks for.
        lasting: Whether they are the sources' own, so that holding them takes no memory.
        operands: The same for compiled passes, with what they write to; None until some are needed.
        grams: Their inner products, by the vectors that a mixture asks for (`Mixture.products_of`).
    """

    sources: Hashable
    plan: TensorPlan
    parents: tuple[Tensor, ...]
    base: Tensor | None
    lasting: bool
    operands: Operands | None = None
    grams: dict[str, Gram] = field(default_factory=dict)

    def serve(self, plan: TensorPlan, sources: Hashable) -> bool:
        """Says whether another plan is for the same inputs."""
        mine = self.plan
        return (
            mine.inputs == plan.inputs
            and mine.base == plan.base
            and mine.dtype == plan.dtype
            and self.sources == sources
        )
