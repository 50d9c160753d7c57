"""A question about how alike fine-tuned models are, and its answer.  Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search_spaces import Parent

LIKE_ENOUGH = 0.95
"""Column cosine of weights from which Model-GLUE counts models as one family."""


@dataclass(frozen=True, slots=True)
class KinshipInquiry:
    """Asks how alike the task vectors of some parents are, every two of them.

    Attributes:
        base: Their ancestor; None compares the weights themselves.
        parts: Of the matrices inside layers, those whose name holds one of these are compared column by
            column; none takes all of them.
    """

    parents: tuple[Parent, ...]
    base: Parent | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kinship:
    """How alike two parents are (Hu et al., "Exploring Model Kinship", arXiv 2410.12613).

    Attributes:
        first, second: Their places among the parents that were asked about.
        correlation: Pearson's, of the flattened task vectors.
        cosine: Its absolute value, as the authors' code gives it.
        distance: Euclidean.
        mean_correlation, mean_cosine, mean_distance: Means over the tensors, each counted by its entries.
        column_cosine: Of the weights, not the task vectors: mean over columns, then over matrices
            (Zhao et al., "Model-GLUE", arXiv 2410.05357).  0 where there is no such matrix.
    """

    first: int
    second: int
    correlation: float
    cosine: float
    distance: float
    mean_correlation: float
    mean_cosine: float
    mean_distance: float
    column_cosine: float


@dataclass(frozen=True, slots=True)
class KinshipReport:
    """The answer: one entry per pair (i < j), in order.

    Attributes:
        left_out: Tensors that some of the models lack, or have in another shape.
    """

    parents: tuple[Parent, ...]
    pairs: tuple[Kinship, ...]
    tensors: int
    left_out: int = 0

    def between(self, first: int, second: int) -> Kinship:
        """Returns how alike two different parents are, in either order.

        Raises:
            KeyError: There are no such two.
        """
        wanted = (min(first, second), max(first, second))
        for pair in self.pairs:
            if (pair.first, pair.second) == wanted:
                return pair
        raise KeyError(wanted)

    def families(
        self,
        least: float = LIKE_ENOUGH,
        likeness: Callable[[Kinship], float] = lambda pair: pair.column_cosine,
    ) -> tuple[tuple[int, ...], ...]:
        """Returns the parents in families: each joins the family whose first member it is most like.

        One that is like no first member enough founds a family (the authors' code drops it).

        Args:
            least: The likeness that is enough.
            likeness: Of two parents.
        """
        families: list[list[int]] = []
        for parent in range(len(self.parents)):
            found = [likeness(self.between(family[0], parent)) for family in families]
            best = _place_of_largest(found)
            if best is None or found[best] < least:
                families.append([parent])
            else:
                families[best].append(parent)
        return tuple(tuple(family) for family in families)


def _place_of_largest(values: Sequence[float]) -> int | None:
    return max(range(len(values)), key=values.__getitem__) if values else None
