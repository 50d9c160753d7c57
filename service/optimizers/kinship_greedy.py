"""Kinship-guided greedy merging: the best with the best, and once with the least akin (2410.12613)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, OptimizerSetup, Origin
from service.optimizers.breeding import Breeding, checked_kinship, origin_of, owners_of
from service.optimizers.options import Option

MOST_MEMBERS = 50  # merges of anything worse come too late for any budget


class KinshipGreedy(Breeding):
    """Averages pairs of the best candidates; one candidate of a generation explores.

    The explorer is the best candidate merged with the member that is least akin to it: greedy merging
    alone ends where all that is left are siblings.  How akin two merges are follows from how akin their
    parents are: it is the cosine between their sums of task vectors, each parent's weighted by its mean
    coefficient (`kinship_of`).  Pairs that were merged already are passed over.
    """

    smallest_population: ClassVar[int] = 2
    operator: ClassVar[str] = "greedy merge"
    needs_kinship: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "top": Option(3, "how many of the best are merged with each other", 2, MOST_MEMBERS),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._kinship = checked_kinship(setup)
        self._members: list[Evaluation] = []  # best first
        self._shares: dict[int, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        self._tried: set[Genome] = set()
        self._plan: tuple[list[tuple[int, int]], list[tuple[int, int]]] | None = None
        owners = [-1 if owner is None else owner for owner in owners_of(self.variables)]
        weight = [v.axis is not None and v.axis.parameter == "weight" for v in self.variables]
        named = np.array(weight) if any(weight) else np.ones(len(owners), dtype=bool)
        self._genes_of = [
            np.flatnonzero((np.array(owners) == owner) & named & self.is_real)
            for owner in range(len(self._kinship))
        ]

    @property
    def population(self) -> int:
        """How many candidates make a generation: the pairs of the top, and the explorer."""
        top = int(self.options["top"])
        return self.setup.population or top * (top - 1) // 2 + 1

    def child(self, number: int) -> tuple[Genome, Origin]:
        """Returns the average of two members that was not tried, as far as there is one."""
        rng = self.rng(number)
        if len(self._members) < 2:
            return self.anything(rng)
        explores, greedy = self._plans()
        place = number % self.population
        pairs = explores if place == self.population - 1 else greedy
        index = 0 if place == self.population - 1 else place
        if index < len(pairs):
            one, other = (self._members[i] for i in pairs[index])
            operator = "kinship exploration" if pairs is explores else self.operator
            return self._average(one, other), origin_of(operator, one, other)
        one, other = (self._members[i] for i in rng.choice(len(self._members), size=2, replace=False))
        positions = [self.position_of(one.genome), self.position_of(other.genome)]
        share = rng.random()
        genome = self.genome_at(self.mixed(positions, [share, 1 - share], rng))
        return genome, origin_of("random merge", one, other)

    def _average(self, one: Evaluation, other: Evaluation) -> Genome:
        """Returns the genome halfway; what is no number is the better one's."""
        first, second = self.position_of(one.genome), self.position_of(other.genome)
        return self.genome_at(np.where(self.is_real, (first + second) / 2, first))

    def _plans(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Returns what to try next: the explorer's pairs, and as many of the best as a generation holds."""
        if self._plan is None:
            greedy: list[tuple[int, int]] = []
            for pair in self._untried(self._by_score()):
                greedy.append(pair)
                if len(greedy) == self.population:
                    break
            explores = next(self._untried(self._by_kinship()), None)
            self._plan = ([explores] if explores else [], greedy)
        return self._plan

    def _untried(self, pairs: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        return (p for p in pairs if self._average(*(self._members[i] for i in p)) not in self._tried)

    def _by_score(self) -> Iterator[tuple[int, int]]:
        """Yields the pairs of the best two, three, four ... until all members are among them."""
        return ((one, other) for other in range(1, len(self._members)) for one in range(other))

    def _by_kinship(self) -> Iterator[tuple[int, int]]:
        """Yields the best member with every other one, those least akin to it first."""
        akin = [self.kinship_of(self._members[0], member) for member in self._members]
        return ((0, other) for other in sorted(range(1, len(akin)), key=lambda i: (round(akin[i], 9), i)))

    def kinship_of(self, one: Evaluation, other: Evaluation) -> float:
        """Returns how akin two candidates are, from -1 to 1; 0 where one of them is the bare base."""
        first, second = self._share_of(one), self._share_of(other)
        lengths = (first @ self._kinship @ first) * (second @ self._kinship @ second)
        return float(first @ self._kinship @ second / np.sqrt(lengths)) if lengths > 0 else 0.0

    def _share_of(self, member: Evaluation) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Returns each parent's mean coefficient, shape [parents]."""
        return np.array(
            [
                np.mean([float(member.genome[i]) for i in genes]) if len(genes) else 0.0
                for genes in self._genes_of
            ]
        )

    def learn(self, evaluation: Evaluation) -> None:
        """Takes the candidate in where it is good enough to be merged."""
        self._tried.add(evaluation.genome)
        self._plan = None
        insort(self._members, evaluation, key=lambda member: tuple(-part for part in self.rank(member)))
        del self._members[MOST_MEMBERS:]
