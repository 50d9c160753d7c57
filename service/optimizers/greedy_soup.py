"""Greedy soup: models are averaged as long as that does not hurt (Wortsman et al., 2203.05482)."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, OptimizerSetup, Origin
from service.optimizers.breeding import Breeding, Position, origin_of

FEWEST = 2  # ingredients


@dataclass(frozen=True, slots=True)
class _Soup:
    ingredients: tuple[int, ...]  # places among the ingredients, some of them more than once
    rank: tuple[float, float]


class GreedySoup(Breeding):
    """Adds one ingredient after the other, best first, to the average; what makes it worse is left out.

    The ingredients are the baselines (parents, winners of earlier experiments), sorted by score.  A
    soup is the average of its ingredients' genomes.  Once each of them was tried, the next rounds try
    to add any of them again, which gives it more weight (selection with replacement: Caruana et al.,
    ICML 2004).  When no addition helps any more, soups with random shares are tried.

    As published it is sequential, so that a generation is one candidate; with more, several
    additions to the same soup are tried at once.  Without baselines, or with one, genomes are drawn at
    random until there are enough ingredients.
    """

    operator: ClassVar[str] = "soup"

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._ingredients: list[Evaluation] = []  # best first
        self._soup: _Soup | None = None
        self._round: list[int] = []  # ingredients that this round has still to try
        self._round_helped = True
        self._additions: list[tuple[tuple[int, ...], Genome]] = []  # what may be tried next
        self._expected: dict[Genome, tuple[int, ...]] = {}  # what a genome told may be made of
        self._tried: set[Genome] = set()

    @property
    def population(self) -> int:
        """How many additions are tried at once: one, or as many as asked for."""
        return self.setup.population or 1

    def child(self, number: int) -> tuple[Genome, Origin]:
        """Returns the soup with one more ingredient."""
        rng = self.rng(number)
        if self._soup is None:
            return self.anything(rng)
        place = number % self.population
        if place < len(self._additions):
            recipe, genome = self._additions[place]
            return genome, origin_of(self.operator, *(self._ingredients[i] for i in recipe))
        shares = rng.dirichlet(1 + np.bincount(self._soup.ingredients, minlength=len(self._ingredients)))
        positions = [self.position_of(e.genome) for e in self._ingredients]
        genome = self.genome_at(self.mixed(positions, list(shares), rng))
        return genome, origin_of("random soup", *self._ingredients)

    def _cooked(self, recipe: tuple[int, ...]) -> Genome:
        """Returns the average of the ingredients; words are those of the majority."""
        points = np.array([self.position_of(self._ingredients[place].genome) for place in recipe])
        position = points.mean(axis=0)
        position[~self.is_real] = _majority(points[:, ~self.is_real])
        return self.genome_at(position)

    def learn(self, evaluation: Evaluation) -> None:
        """Keeps the addition where the soup is not worse with it."""
        self._tried.add(evaluation.genome)
        if evaluation.baseline or self._soup is None:
            self._add_ingredient(evaluation)
            return
        recipe = self._expected.get(evaluation.genome)
        if recipe is None:
            return
        if recipe[:-1] == self._soup.ingredients and recipe[-1] in self._round:
            self._round.remove(recipe[-1])
        if self.rank(evaluation) >= self._soup.rank and len(recipe) > len(self._soup.ingredients):
            self._soup = _Soup(recipe, self.rank(evaluation))
            self._round_helped = True
        self._foresee()

    def _add_ingredient(self, evaluation: Evaluation) -> None:
        """Takes an ingredient in and begins anew, with the best of all as the soup."""
        insort(self._ingredients, evaluation, key=lambda e: tuple(-part for part in self.rank(e)))
        if len(self._ingredients) < FEWEST:
            return
        self._soup = _Soup((0,), self.rank(self._ingredients[0]))
        self._round, self._round_helped = list(range(1, len(self._ingredients))), True
        self._expected = {}
        self._foresee()

    def _foresee(self) -> None:
        """Works out what to try next, and what the candidates asked for now will be made of."""
        self._additions = self._untried()
        if not self._additions and self._round_helped:
            self._round, self._round_helped = list(range(len(self._ingredients))), False
            self._additions = self._untried()
        self._expected.update((genome, recipe) for recipe, genome in self._additions)

    def _untried(self) -> list[tuple[tuple[int, ...], Genome]]:
        """Returns the soups with one more ingredient of this round that are new, in the round's order."""
        assert self._soup is not None  # noqa: S101 - it was begun with the second ingredient
        recipes = [(*self._soup.ingredients, added) for added in self._round]
        return [(r, genome) for r in recipes if (genome := self._cooked(r)) not in self._tried]


def _majority(points: Position) -> Position:
    """Returns, for each column, the value that most rows have; of equals the first row's, shape [columns]."""
    winners = []
    for column in points.T:
        values, first, counts = np.unique(column, return_index=True, return_counts=True)
        winners.append(values[min(range(len(values)), key=lambda i: (-counts[i], first[i]))])
    return np.array(winners)
