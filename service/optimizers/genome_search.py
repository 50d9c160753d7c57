"""GENOME+: crossover, mutation, selection and succession of a small population (2503.01155)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, OptimizerSetup, Origin
from service.optimizers.breeding import Breeding, Position, origin_of, roulette
from service.optimizers.options import Option

TOURNAMENT = 3


@dataclass(frozen=True, slots=True)
class _Individual:
    evaluation: Evaluation
    best: Evaluation  # of the individual and those it succeeds
    velocity: Position


class GenomeSearch(Breeding):
    """Children replace their population a generation at a time; the best and tournament winners stay.

    A child is either a mixture of two members, weighted by their fitness, or the successor of the
    member in its place: moved towards the best that place and population have known and away from
    the worst.  Some are mutated.  Settings are the published ones, but for `mutation_step`, which is
    measured in ranges of coefficients here, not in weights.
    """

    smallest_population: ClassVar[int] = 3
    supports_reevaluation: ClassVar[bool] = True
    operator: ClassVar[str] = "crossover"
    declared_options: ClassVar[Mapping[str, Option]] = {
        "crossover_rate": Option(0.3, "children that are mixtures of two members", 0.0, 1.0),
        "mutation_rate": Option(0.1, "children that are mutated", 0.0, 1.0),
        "gene_rate": Option(0.1, "genes of a mutant that change", 0.0, 1.0),
        "mutation_step": Option(0.05, "standard deviation of a change, as a share of the range", 0.0, 1.0),
        "elite_share": Option(0.1, "members that stay whatever the tournaments say", 0.0, 1.0),
        "step": Option(0.5, "how far a successor follows its velocity at first", 0.0, 2.0),
        "step_decay": Option(0.95, "what the step is multiplied by every generation", 0.0, 1.0),
        "inertia": Option(0.2, "weight of the velocity that a successor inherits", 0.0, 2.0),
        "cognitive": Option(0.2, "pull towards the best of its own line", 0.0, 2.0),
        "social": Option(0.2, "pull towards the best of all", 0.0, 2.0),
        "repel": Option(0.1, "push away from the worst of all", 0.0, 2.0),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._members: list[_Individual] = []
        self._baselines: list[Evaluation] = []
        self._pending: list[Evaluation] = []
        self._generation = 0
        self._best: Evaluation | None = None
        self._worst: Evaluation | None = None

    @property
    def population(self) -> int:
        """How many members there are, and candidates in a generation: 10."""
        return self.setup.population or 10

    def child(self, number: int) -> tuple[Genome, Origin]:
        """Returns a mixture or a successor; in the first generation a random merge of two baselines."""
        rng = self.rng(number)
        if not self._members:
            if len(self._baselines) < 2:
                return self.anything(rng)
            one, other = (self._baselines[i] for i in rng.choice(len(self._baselines), 2, replace=False))
            share = rng.random()
            position, origin = self._mixture(one, other, share, rng), origin_of("random merge", one, other)
        elif rng.random() < float(self.options["crossover_rate"]):
            position, origin = self._crossed(rng)
        else:
            position, origin = self._succeeded(number % len(self._members), rng)
        if rng.random() < float(self.options["mutation_rate"]):
            return self.genome_at(self._mutated(position, rng)), Origin(
                f"{origin.operator} and mutation", origin.ancestors
            )
        return self.genome_at(position), origin

    def _mixture(
        self, one: Evaluation, other: Evaluation, share: float, rng: np.random.Generator
    ) -> Position:
        return self.mixed(
            [self.position_of(one.genome), self.position_of(other.genome)], [share, 1 - share], rng
        )

    def _crossed(self, rng: np.random.Generator) -> tuple[Position, Origin]:
        weights = self._roulette_weights()
        first = roulette(weights, rng)
        others = np.where(np.arange(len(weights)) == first, 0.0, weights)
        second = roulette(others, rng)
        one, other = (self._members[i].evaluation for i in (first, second))
        total = weights[first] + weights[second]
        share = weights[first] / total if total > 0 else 0.5
        return self._mixture(one, other, float(share), rng), origin_of("crossover", one, other)

    def _roulette_weights(self) -> Position:
        """Returns what members are drawn by, shape [members]: their fitness above the worst one's."""
        climbed = np.array(self.penalised([member.evaluation for member in self._members]))
        spread = climbed.max() - climbed.min()
        if not (np.isfinite(spread) and spread > 0):
            return np.ones(len(climbed))
        return np.asarray((climbed - climbed.min()) / spread + 1 / len(climbed), dtype=np.float64)

    def _succeeded(self, place: int, rng: np.random.Generator) -> tuple[Position, Origin]:
        """Returns the successor of the member at this place."""
        own = self._members[place]
        assert self._best is not None  # noqa: S101 - there are members, so there is a best and a worst
        assert self._worst is not None  # noqa: S101
        here, pull = self.position_of(own.evaluation.genome), np.zeros(len(self.variables))
        for name, sign, target in (
            ("cognitive", 1, own.best),
            ("social", 1, self._best),
            ("repel", -1, self._worst),
        ):
            draw = rng.random(len(here))
            pull += sign * float(self.options[name]) * draw * (self.position_of(target.genome) - here)
        velocity = float(self.options["inertia"]) * own.velocity + pull
        step = float(self.options["step"]) * float(self.options["step_decay"]) ** self._generation
        moved = np.clip(here + step * velocity, 0.0, 1.0)
        toward_best = rng.random(len(here)) < float(self.options["social"])
        whole = np.where(toward_best, self.position_of(self._best.genome), here)
        position = np.where(self.is_real, moved, whole)
        if np.array_equal(position, here):  # a population that has become one point
            position = self._mutated(here, rng)
        return position, origin_of("succession", own.evaluation, own.best, self._best, self._worst)

    def _mutated(self, position: Position, rng: np.random.Generator) -> Position:
        """Returns the point with some genes moved, one at least; discrete ones are drawn afresh."""
        changes = rng.random(len(position)) < float(self.options["gene_rate"])
        changes[rng.integers(len(position))] = True
        noise = rng.normal(scale=float(self.options["mutation_step"]), size=len(position))
        moved = np.clip(position + noise, 0.0, 1.0)
        return np.where(changes, np.where(self.is_real, moved, rng.random(len(position))), position)

    def learn(self, evaluation: Evaluation) -> None:
        """Keeps the candidate; once a generation is complete, selects the members that stay."""
        rank = self.rank(evaluation)
        if self._best is None or rank > self.rank(self._best):
            self._best = evaluation
        if self._worst is None or rank < self.rank(self._worst):
            self._worst = evaluation
        if evaluation.baseline:
            self._baselines.append(evaluation)
            return
        self._pending.append(evaluation)
        if len(self._pending) == self.population:
            self._succeed()

    def learn_again(self, evaluation: Evaluation) -> None:
        """Gives a candidate another fitness wherever it is kept."""

        def newer(known: Evaluation) -> Evaluation:
            return evaluation if known.number == evaluation.number else known

        self._members = [
            replace(m, evaluation=newer(m.evaluation), best=newer(m.best)) for m in self._members
        ]
        self._baselines = [newer(one) for one in self._baselines]
        self._pending = [newer(one) for one in self._pending]
        if self._best is not None and self._worst is not None:
            self._best, self._worst = newer(self._best), newer(self._worst)

    def _succeed(self) -> None:
        still = np.zeros(len(self.variables))
        rivals = [*self._members] or [_Individual(b, b, still) for b in self._baselines]
        for child in self._pending:
            if not self._members:
                rivals.append(_Individual(child, child, still))
                continue
            old = self._members[child.number % len(self._members)]
            velocity = self.position_of(child.genome) - self.position_of(old.evaluation.genome)
            best = child if self.rank(child) > self.rank(old.best) else old.best
            rivals.append(_Individual(child, best, velocity))
        self._members = self._selected(rivals)
        self._pending = []
        self._generation += 1

    def _selected(self, rivals: Sequence[_Individual]) -> list[_Individual]:
        """Returns the next members: some of the best, then winners of tournaments, each once."""
        rng = np.random.default_rng([self.setup.seed, 2**31, self._generation])
        order = sorted(rivals, key=lambda rival: self.rank(rival.evaluation), reverse=True)
        elites = max(1, int(float(self.options["elite_share"]) * self.population))
        kept, rest = order[:elites], order[elites:]
        while rest and len(kept) < self.population:
            drawn = rng.choice(len(rest), size=min(TOURNAMENT, len(rest)), replace=False)
            kept.append(rest.pop(int(drawn.min())))  # they are sorted: the first is the best
        return kept
