"""Subsampling: the items of each generation, the re-evaluated elites, and scores estimated from answers.

The baselines answer everything: they are the references.  A later generation answers a part of the
items, the same for all its candidates, and some of the best so far, the elites, answer it again, so
that none of them stays for its luck alone.  As elites have answered more, and easy parts must not
favour the candidates that got them, a candidate's value is an estimate of what it would score on all items
(`evaluators.sampling.regression_estimate`).

All of it follows from what was told so far: nothing here is stored but the answers themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from evaluators import ItemIndices, Score
from evaluators.sampling.regression_estimate import predicted_mean, regression_estimate
from evaluators.sampling.rotation import part_of, row_of, turn_of
from evaluators.scores import mean_score
from service.experiment.spec import Rotation
from service.search.fidelity.estimator_check import EstimatorCheck
from workers.protocol.messages import Outcome, Scored


@dataclass(frozen=True, slots=True)
class RotationRule:
    """How many items a generation answers.

    Attributes:
        options: The spec's: about how many items of each benchmark (a smaller benchmark is asked whole),
            and how many of the best candidates answer them again.
        sizes: How many items each benchmark has.
        seed: Of the order among equals.
    """

    options: Rotation
    sizes: tuple[int, ...]
    seed: int = 0


@dataclass(slots=True)
class _Tally:
    """What all models told so far scored on a benchmark's items: sums and counts, shape [items]."""

    total: NDArray[np.float64]
    count: NDArray[np.float64]

    def add(self, score: Score) -> None:
        indices = list(score.answers)
        self.total[indices] += np.array(score.item_fitness)
        self.count[indices] += 1.0

    @property
    def ease(self) -> NDArray[np.float64]:
        return self.total / np.maximum(self.count, 1.0)


@dataclass(slots=True)
class Subsampling:
    """Estimates of all items' scores from the parts that generations answer.

    Attributes:
        check: How well the estimator predicts what elites answer next; when it does not, it is not used.
    """

    rule: RotationRule
    check: EstimatorCheck = field(default_factory=EstimatorCheck)
    _tallies: list[_Tally] = field(init=False)
    _references: list[list[tuple[float, ...]]] = field(init=False)  # per benchmark
    _rows: dict[tuple[int, int], NDArray[np.int64]] = field(default_factory=dict)  # by benchmark and turn
    _items: dict[int, ItemIndices] = field(default_factory=dict)  # by generation
    _observed: dict[int, list[int]] = field(default_factory=dict)  # by candidate: generations it answered in
    _values: dict[int, Scored] = field(default_factory=dict)  # by candidate, as last valued

    def __post_init__(self) -> None:
        """Begins without any answers."""
        self._tallies = [_Tally(np.zeros(size), np.zeros(size)) for size in self.rule.sizes]
        self._references = [[] for _ in self.rule.sizes]

    def items(self, generation: int) -> ItemIndices | None:
        """Returns the indices that a generation is asked; None asks all.

        The first call for a generation must come before anyone of it is told: what is known then
        decides.
        """
        if generation == 0:
            return None
        if generation not in self._items:
            sizes = enumerate(self.rule.sizes)
            self._items[generation] = tuple(self._part(generation - 1, n, size) for n, size in sizes)
        return self._items[generation]

    def elites(self, ranked: Iterable[int]) -> list[int]:
        """Returns the candidates that answer the next generation's items as well: the best that lack some."""
        able = (number for number in ranked if number in self._observed and not self._knows_all(number))
        return list(islice(able, self.rule.options.elites))

    def tell(
        self, number: int, generation: int, outcome: Outcome | None, rival: int | None
    ) -> Outcome | None:
        """Takes a candidate's answers in; returns its outcome with values on all items.

        Args:
            number: The candidate's.
            generation: Its own.
            outcome: With all its answers, later ones included; None where it never had a recipe.
            rival: The candidate that it raced, if any.
        """
        if not isinstance(outcome, Scored):
            return outcome
        if outcome.pruned:
            return self._pruned(outcome, rival)
        self._observed[number] = [generation]
        return self._with_estimates(number, outcome, fresh=self._only(outcome, self.items(generation)))

    def observe(self, number: int, generation: int, outcome: Outcome | None) -> Scored | None:
        """Takes in what an elite answered again; returns its outcome with new values on all items."""
        items = self.items(generation)
        if not isinstance(outcome, Scored) or items is None:
            return None
        before = self._known(number, outcome)
        fresh = {n: set(indices) - set(before.scores[n].answers) for n, indices in enumerate(items)}
        self._check(before, outcome, fresh)
        self._observed[number].append(generation)
        only = self._only(outcome, tuple(tuple(sorted(fresh[n])) for n in range(len(items))))
        return self._with_estimates(number, outcome, fresh=only)

    def among(self, outcome: Outcome | None, generation: int) -> Scored | None:
        """Returns what a candidate answered to a generation's items; None unless it was asked them all."""
        items = self.items(generation)
        if not isinstance(outcome, Scored) or outcome.pruned or items is None:
            return None
        for score, indices in zip(outcome.scores, items, strict=True):
            if not score.answers.keys() >= set(indices):
                return None
        return self._only(outcome, items)

    def _part(self, generation: int, number: int, size: int) -> tuple[int, ...]:
        turn = turn_of(generation, size, self.rule.options.items)
        key = (number, turn.number)
        if key not in self._rows:
            ease, seed = self._tallies[number].ease, (self.rule.seed, *key)
            self._rows[key] = row_of(size, self._references[number], ease.tolist(), seed=seed)
        return part_of(self._rows[key], turn)

    def _knows_all(self, number: int) -> bool:
        sizes = [len(score.per_item) for score in self._values[number].scores]
        return all(known >= size for known, size in zip(sizes, self.rule.sizes, strict=True))

    def _known(self, number: int, outcome: Scored) -> Scored:
        """Returns an outcome with those answers alone that were observed so far."""
        rounds = [self.items(generation) for generation in self._observed[number]]
        if None in rounds:
            return outcome
        indices = [set[int]().union(*(r[n] for r in rounds if r)) for n in range(len(self.rule.sizes))]
        return self._only(outcome, tuple(tuple(sorted(each)) for each in indices))

    def _only(self, outcome: Scored, items: ItemIndices | None) -> Scored:
        if items is None:
            return outcome
        scores = [
            mean_score(score, {p: score.answers[p] for p in indices}, size=size)
            for score, indices, size in zip(outcome.scores, items, self.rule.sizes, strict=True)
            if indices
        ]
        return replace(outcome, scores=tuple(scores))

    def _with_estimates(self, number: int, outcome: Scored, *, fresh: Scored) -> Scored:
        known = self._known(number, outcome)
        names = {score.benchmark: index for index, score in enumerate(known.scores)}
        for score in fresh.scores:
            self._tallies[names[score.benchmark]].add(score)
        if 0 in self._observed[number]:
            for row, score in zip(self._references, known.scores, strict=True):
                row.append(score.item_fitness)
        found = [self._estimated(index, score) for index, score in enumerate(known.scores)]
        self._values[number] = replace(known, scores=tuple(found))
        return self._values[number]

    def _estimated(self, index: int, score: Score) -> Score:
        if not score.item_indices or not self.check.trusted:
            return score
        guess = regression_estimate(score.fitness_by_index, self._references[index])
        return score.with_fitness(guess.value, stderr=guess.stderr)

    def _pruned(self, outcome: Scored, rival: int | None) -> Scored:
        """Values one that lost a race by how far it lies behind the rival on the items of the race."""
        best = self._values.get(-1 if rival is None else rival)
        if best is None:
            return outcome
        scores = []
        for own, other in zip(outcome.scores, best.scores, strict=True):
            theirs = other.fitness_by_index
            gaps = [value - theirs[p] for p, value in own.fitness_by_index.items() if p in theirs]
            behind = sum(gaps) / len(gaps) if gaps else 0.0
            scores.append(own.with_fitness(other.fitness + behind))
        return replace(outcome, scores=tuple(scores))

    def _check(self, before: Scored, outcome: Scored, fresh: Mapping[int, set[int]]) -> None:
        for n, (seen, score) in enumerate(zip(before.scores, outcome.scores, strict=True)):
            indices = sorted(fresh[n])
            if not indices:
                continue
            answers = score.fitness_by_index
            known = {index: answers[index] for index in seen.answers}
            self.check.add(
                estimated=predicted_mean(known, self._references[n], indices),
                plain=_mean(known.values()),
                found=_mean(answers[index] for index in indices),
            )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
