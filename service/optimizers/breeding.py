"""What the population methods share: children that are mixtures of coefficients.

Published population methods breed weights of models.  Here they breed coefficients: a genome says how
much each parent contributes where, a child's genome is a mixture of its ancestors' genomes, and so
every child is still a flat recipe over the original parents, of which no weights need be stored.  For
methods that are linear in the task vectors the two are the same: a mixture of merges is the merge with
the mixed coefficients.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SpaceError
from search_spaces.genome import Genome, Real, Variable
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin

Position = NDArray[np.float64]


class Breeding(Optimizer):
    """Proposes children together with where they come from."""

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self.is_real = np.array([isinstance(variable, Real) for variable in self.variables])

    def propose(self, number: int) -> Genome:
        """Returns the candidate's genome."""
        return self.child(number)[0]

    def origin(self, number: int) -> Origin:
        """Returns what the candidate was made of, and how."""
        return self.child(number)[1]

    @abstractmethod
    def child(self, number: int) -> tuple[Genome, Origin]:
        """Returns a candidate's genome and its origin.  Changes nothing."""

    def anything(self, rng: np.random.Generator) -> tuple[Genome, Origin]:
        """Returns a genome drawn from the whole space: what is bred from where nothing is known."""
        return self.anywhere(rng), Origin("random")

    def mixed(
        self, positions: Sequence[Position], shares: Sequence[float], rng: np.random.Generator
    ) -> Position:
        """Returns the weighted mean of points of the unit cube, clipped to it, shape [variables].

        What is no real number comes as it is from one of the points, each with its share's probability.
        """
        weights = np.asarray(shares, dtype=np.float64) / np.sum(shares)
        points = np.array(positions)
        whole = points[rng.choice(len(points), p=np.abs(weights) / np.abs(weights).sum())]
        mean = np.clip(weights @ points, 0.0, 1.0)
        return np.asarray(np.where(self.is_real, mean, whole), dtype=np.float64)


def roulette(weights: Position, rng: np.random.Generator) -> int:
    """Returns a place drawn with probabilities in proportion to the weights; evenly where all are 0."""
    total = weights.sum()
    if not (np.isfinite(total) and total > 0):
        return int(rng.integers(len(weights)))
    return int(rng.choice(len(weights), p=weights / total))


def origin_of(operator: str, *ancestors: Evaluation) -> Origin:
    """Returns an origin that names every ancestor once."""
    return Origin(operator, tuple(dict.fromkeys(ancestor.number for ancestor in ancestors)))


def owners_of(variables: Sequence[Variable]) -> list[int | None]:
    """Returns which parent's coefficient each gene is; None where it belongs to no parent or to all."""
    return [variable.axis.owner if variable.axis else None for variable in variables]


def places_of(variables: Sequence[Variable]) -> NDArray[np.int64]:
    """Returns where in the network each gene acts, counted from the input; unnamed genes in their order."""
    return np.array([v.axis.place if v.axis else i for i, v in enumerate(variables)], dtype=np.int64)


def checked_kinship(setup: OptimizerSetup) -> NDArray[np.float64]:
    """Returns how alike any two parents are, shape [parents, parents].

    Raises:
        SpaceError: It was not measured, it is not of that shape, or no gene belongs to a parent.
    """
    if setup.kinship is None:
        raise SpaceError(
            "optimizer.algorithm",
            "it needs to know how alike the parents are, which was not measured",
            "have the parents' kinship measured, or use another algorithm",
        )
    kinship = np.array(setup.kinship, dtype=np.float64)
    owners = {owner for owner in owners_of(setup.variables) if owner is not None}
    if not owners:
        raise SpaceError(
            "optimizer.algorithm",
            "no gene of this space is one parent's own",
            "use a method with a weight for each parent, or another algorithm",
        )
    if kinship.ndim != 2 or kinship.shape[0] != kinship.shape[1] or len(kinship) <= max(owners):
        detail = f"kinship of shape {kinship.shape} for {max(owners) + 1} parents or more"
        raise SpaceError("kinship", detail, "give a square matrix with a row for each parent")
    return kinship
