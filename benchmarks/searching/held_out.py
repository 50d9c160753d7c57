"""Scores recipes of every contestant on held-out items with one and the same harness: ours."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from benchmarks.searching.problem import WEIGHTS, Problem, spec_of
from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.specification.spec_check import check_spec
from workers.pools.inline_pool import InlinePool
from workers.protocol.messages import Assignment, Scored, Workload

_PATIENCE = 120.0  # seconds for one candidate of a tenth of a second


class HeldOut:
    """A worker that knows the test split; equal recipes are scored once."""

    def __init__(self, problem: Problem) -> None:
        self._pool, self._known = InlinePool(threads=1), dict[str, float]()
        self.problem = problem
        raw: dict[str, Any] = spec_of(problem, "held-out", "cma_es", 0, 60)
        spec = check_spec(raw, self._pool).spec
        work = Workload(experiment=uuid4(), parents=spec.all_parents, benchmarks=spec.benchmarks, count=1)
        self._pool.prepare(work)

    def score(self, recipe: str) -> float:
        """Returns the weighted mean accuracy on the test split, from 0 to 1.

        Args:
            recipe: mergekit's YAML or our JSON.  mergekit-evolve's bfloat16 is kept, as it is told there.

        Raises:
            RuntimeError: The worker could not score it.
        """
        if recipe not in self._known:
            self._known[recipe] = self._ask(self._read(recipe))
        return self._known[recipe]

    def close(self) -> None:
        """Ends the worker."""
        self._pool.close()

    def _read(self, recipe: str) -> Recipe:
        if recipe.lstrip().startswith("{"):
            return Recipe.model_validate_json(recipe)
        # Copies that a contestant reads, or writes for itself, hold the same weights as the originals.
        return read_recipe(self.problem.with_own_paths(recipe))

    def _ask(self, recipe: Recipe) -> float:
        self._pool.submit(Assignment(candidate=uuid4(), number=0, recipe=recipe, split="test"))
        outcome = self._pool.next_outcome(_PATIENCE)
        if not isinstance(outcome, Scored):
            raise RuntimeError(f"a recipe could not be scored: {outcome}")
        values = {score.benchmark: score.value for score in outcome.scores}
        return sum(WEIGHTS[name] * value for name, value in values.items()) / sum(WEIGHTS.values())
