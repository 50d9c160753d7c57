"""M2N2: merging by competition for items and attraction between complementary models (2508.16204)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from search_spaces.genome import Genome, Real
from service.optimizers.base import Evaluation, OptimizerSetup, Origin
from service.optimizers.breeding import Breeding, Position, origin_of, places_of, roulette
from service.optimizers.item_competition import Scores, attraction, item_scores, shared_fitness
from service.optimizers.options import Option

PARALLEL = 1e-4  # sine of the angle below which slerp is lerp


class M2n2(Breeding):
    """Mates members that answer different items, with a split point that evolves (section 3).

    Left of a point of the network the child is a mixture of its two ancestors with ratio w, right of
    it with ratio 1 - w; so boundaries are found instead of given.  The first ancestor is drawn by what
    it wins in the competition for items, the second by what it adds to the first.  Every candidate
    told replaces the worst member if it is better.  There is no mutation: the members are mixtures of
    the baselines, or of random genomes where no baselines are told.
    """

    smallest_population: ClassVar[int] = 2
    operator: ClassVar[str] = "split merge"
    steady_state: ClassVar[bool] = True
    reads_items: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "archive": Option(15, "members that may breed", 2, 1000),
        "warm_up": Option(20, "random merges of the baselines before anyone is chosen", 0, 50),
        "alpha": Option(1.0, "how much members that answer the same item share it", 0.0, 10.0),
        "mixing": Option("slerp", "how coefficients are mixed", choices=("slerp", "lerp")),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._places = places_of(self.variables)
        self._members: list[Evaluation] = []
        self._evolved = 0
        self._scores: Scores = np.empty((0, 0))
        self._fitness: Scores = np.empty(0)
        self._low = np.array([v.low if isinstance(v, Real) else 0.0 for v in self.variables])
        self._high = np.array([v.high if isinstance(v, Real) else 1.0 for v in self.variables])

    @property
    def population(self) -> int:
        """How many candidates are proposed at once: as many as asked for, or 10."""
        return self.setup.population or 10

    def child(self, number: int) -> tuple[Genome, Origin]:
        """Returns a merge of two members, or a random genome while there are too few of them."""
        rng = self.rng(number)
        alone = self._evolved < int(self.options["archive"]) and not any(m.baseline for m in self._members)
        if len(self._members) < 2 or alone:
            return self.anything(rng)
        one, other = self._couple(rng)
        split, ratio = rng.choice(np.unique(self._places)), rng.random()
        left = self._places < split if split > self._places.min() else self._places <= split
        position = self._merged(
            self.position_of(one.genome), self.position_of(other.genome), left, ratio, rng
        )
        return self.genome_at(position), origin_of(self.operator, one, other)

    def _couple(self, rng: np.random.Generator) -> tuple[Evaluation, Evaluation]:
        count = len(self._members)
        if self._evolved < int(self.options["warm_up"]):
            first, second = rng.choice(count, size=2, replace=False)
        else:
            first = roulette(np.where(self._feasible(), self._fitness, 0.0), rng)
            others = np.arange(count) != first
            pull = np.where(others & self._feasible(), attraction(self._scores, first), 0.0)
            second = roulette(pull if pull.sum() > 0 else others.astype(np.float64), rng)
        return self._members[first], self._members[second]

    def _feasible(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.array([member.violation == 0 for member in self._members])

    def _merged(
        self,
        one: Position,
        other: Position,
        left: np.ndarray[tuple[int], np.dtype[np.bool_]],
        ratio: float,
        rng: np.random.Generator,
    ) -> Position:
        """Returns the child's point: `ratio` of `other` on the left side, 1 - `ratio` on the right."""
        span = self._high - self._low
        first, second = self._low + one * span, self._low + other * span  # coefficients: 0 is "nothing"
        mixed = np.empty(len(one))
        for side, share in ((left, ratio), (~left, 1 - ratio)):
            reals = side & self.is_real
            mix = slerp if self.options["mixing"] == "slerp" else lerp
            mixed[reals] = np.clip(
                (mix(first[reals], second[reals], share) - self._low[reals]) / span[reals], 0, 1
            )
            whole = side & ~self.is_real
            mixed[whole] = np.where(rng.random(int(whole.sum())) < share, other[whole], one[whole])
        return mixed

    def learn(self, evaluation: Evaluation) -> None:
        """Takes the candidate in, and drops the member that wins least if there are too many."""
        self._evolved += not evaluation.baseline
        self._members.append(evaluation)
        self._compete()
        if len(self._members) > int(self.options["archive"]):
            order = [(-m.violation, float(f)) for m, f in zip(self._members, self._fitness, strict=True)]
            worst = min(reversed(range(len(order))), key=lambda place: order[place])
            self._members.pop(worst)
            self._compete()

    def _compete(self) -> None:
        self._scores = item_scores(self._members, self.setup.weights)
        self._fitness = shared_fitness(self._scores, float(self.options["alpha"]))


def lerp(one: Position, other: Position, share: float) -> Position:
    """Returns the point at `share` of the way from one to the other."""
    return (1 - share) * one + share * other


def slerp(one: Position, other: Position, share: float) -> Position:
    """Returns the point at `share` of the arc from one to the other; of the line where there is no arc."""
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    if lengths == 0:
        return lerp(one, other, share)
    angle = np.arccos(np.clip(one @ other / lengths, -1.0, 1.0))
    if np.sin(angle) < PARALLEL:
        return lerp(one, other, share)
    arc = (np.sin((1 - share) * angle) * one + np.sin(share * angle) * other) / np.sin(angle)
    return np.asarray(arc, dtype=np.float64)
