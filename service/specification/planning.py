"""From a spec and the facts about its parents to what the search loop works with.  Pure: no files.

Used twice: before an experiment exists, to see that it can be planned, and whenever a controller
drives it.  The baselines are planned once and kept among the facts, so that a run does not depend
on files that changed in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, field_serializer

from search_spaces import Infeasible, Parent, ParentPool, Recipe, SearchSpace, Slice, Source, build_space
from search_spaces.recipes.mergekit_yaml import read_recipe
from search_spaces.recipes.recipe import DType
from search_spaces.recipes.settings import constant
from service.experiment.candidate import CandidateKind
from service.experiment.objectives import ObjectiveFacts
from service.experiment.spec import SMALLEST_WINDOW, ExperimentSpec, label_of
from service.optimizers import (
    ChosenAlgorithm,
    MeasureAxis,
    Optimizer,
    OptimizerSetup,
    choose_algorithm,
    optimizer_named,
)
from service.search.criteria import Criteria
from service.search.fidelity.racing_rules import RaceRule
from service.search.fidelity.subsampling import RotationRule
from service.search.fidelity.successive_halving import HalvingRule
from service.search.plan import Baseline, SearchPlan
from service.search.recipe_shape import ParentShape

TASK_ARITHMETIC_WEIGHTS = (0.3, 0.5, 0.7, 1.0)  # the grid of Ilharco et al., arXiv 2212.04089, thinned
USUAL_DENSITY = 0.5  # of TIES and DARE-TIES
WINDOW_PER_WORKER = 4


class PlannedBaseline(BaseModel):
    """A recipe of generation 0, as it is stored."""

    model_config = ConfigDict(frozen=True)

    label: str
    recipe: Recipe
    kind: CandidateKind = CandidateKind.BASELINE

    @field_serializer("recipe")
    def _canonical(self, recipe: Recipe) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(recipe.canonical_json())
        return content


class ExperimentFacts(BaseModel):
    """What was found out about an experiment when it was created.

    Attributes:
        algorithm, algorithm_reason: Who searches, and why; kept, so that a run does not change horses
            when a later version would choose otherwise.
        layers, layer_prefix: The shape that the parents share.
        parameters: Of one parent; `layer_parameters`: of one of its layers.
        parent_bytes: Of all parents' weights.
        window: Of a steady state: what was chosen when it first ran, and stays.
        first_budget: Candidates that were planned before the experiment was extended: what the
            algorithm was built for.
        kinship: How alike any two parents are, as far as it was measured.
    """

    model_config = ConfigDict(frozen=True)

    objectives: tuple[ObjectiveFacts, ...]
    algorithm: str = ""
    algorithm_reason: str = ""
    layers: int
    layer_prefix: str
    parameters: int
    layer_parameters: int = 0
    parent_bytes: int
    baselines: tuple[PlannedBaseline, ...] = ()
    window: int | None = None
    first_budget: int | None = None
    kinship: tuple[tuple[float, ...], ...] | None = None


def mixed_parents(spec: ExperimentSpec) -> tuple[Parent, ...]:
    """Returns the parents without the base."""
    return tuple(parent for parent in spec.parents if parent != spec.base)


def build_pool(spec: ExperimentSpec, facts: Mapping[str, Any]) -> ParentPool:
    """Returns the parents to mix, and the shape they share."""
    sizes = (facts.get("parameters", 0), facts.get("layer_parameters", 0))
    return ParentPool(mixed_parents(spec), spec.base, facts["layers"], facts["layer_prefix"], *sizes)


def build_space_for(spec: ExperimentSpec, facts: Mapping[str, Any]) -> SearchSpace:
    """Returns the space to search.

    Raises:
        SpaceError: The options hold no recipe over these parents.
    """
    options = spec.space.model_copy(update={"dtype": dtype_of(spec)})
    return build_space(options, build_pool(spec, facts))


def build_optimizer_for(
    spec: ExperimentSpec, space: SearchSpace, facts: Mapping[str, Any] | None = None
) -> Optimizer:
    """Returns an optimizer that was told nothing yet.

    Raises:
        SpaceError: There is none of this name, or its settings do not suit it.
    """
    known = facts or {}
    setup = OptimizerSetup(
        variables=space.variables,
        seed=spec.seed,
        weights=spec.weights,
        population=spec.optimizer.population,
        sigma=spec.optimizer.sigma,
        measures=tuple(MeasureAxis(m.label, m.low, m.high, m.cells) for m in spec.measures),
        parents=len(mixed_parents(spec)),
        options=spec.optimizer.options,
        budget=known.get("first_budget") or spec.budget.candidates,
        kinship=known.get("kinship"),
        is_feasible=lambda genome: not isinstance(space.decode(genome), Infeasible),
    )
    name = known.get("algorithm") or algorithm_for(spec, space).name
    return optimizer_named(name)(setup)


def is_steady(spec: ExperimentSpec, optimizer: Optimizer) -> bool:
    """Says whether candidates are asked for one by one: by the spec, else by the algorithm."""
    wanted = spec.optimizer.steady_state
    return optimizer.steady_state if wanted is None else wanted


def window_for(
    spec: ExperimentSpec, optimizer: Optimizer, facts: Mapping[str, Any], *, workers: int
) -> int | None:
    """Returns how many candidates may be out at once; None goes by generations.

    What the spec or, later, the facts say stays.  Else it is a generation, or what keeps the workers
    busy whose evaluations differ fourfold in length, whichever is more.
    """
    if not is_steady(spec, optimizer):
        return None
    chosen = spec.optimizer.window or facts.get("window")
    return chosen or max(optimizer.population, WINDOW_PER_WORKER * workers, SMALLEST_WINDOW)


def algorithm_for(spec: ExperimentSpec, space: SearchSpace) -> ChosenAlgorithm:
    """Returns who searches, and why."""
    return choose_algorithm(
        spec.optimizer.algorithm,
        space.variables,
        len(spec.objectives),
        measures=len(spec.measures),
        budget=spec.budget.candidates,
    )


def plan_for(
    spec: ExperimentSpec, facts: Mapping[str, Any], *, window: int | None = None, gpus: float = 1.0
) -> SearchPlan:
    """Returns what the search loop is to do; `gpus` are those of one worker."""
    found = ExperimentFacts.model_validate(facts)
    sizes = tuple(objective.items["search"] for objective in found.objectives)
    weights, seed = spec.weights, spec.seed
    pruned = spec.racing or spec.halving
    return SearchPlan(
        baselines=tuple(Baseline(planned.label, planned.recipe, planned.kind) for planned in found.baselines),
        budget=spec.budget,
        gpus=gpus,
        timeout=spec.evaluation_timeout,
        window=window,
        order=spec.optimizer.order,
        criteria=criteria_for(spec, found),
        failure_policy=spec.failure_policy,
        race=None if spec.racing is None else RaceRule(spec.racing, weights, seed),
        rotation=None if spec.rotation is None else RotationRule(spec.rotation, sizes, seed),
        halving=None if spec.halving is None else HalvingRule(spec.halving, sizes, weights, seed),
        pruned="estimate" if pruned is None else pruned.told,
    )


def criteria_for(spec: ExperimentSpec, facts: ExperimentFacts) -> Criteria:
    """Returns what is measured and must hold beside the objectives."""
    shape = ParentShape(facts.layers, facts.layer_prefix, facts.parameters, facts.layer_parameters)
    return Criteria(spec.measures, spec.constraints, shape, mixed_parents(spec))


def baselines_for(
    spec: ExperimentSpec, pool: ParentPool, taken_over: Sequence[Baseline] = ()
) -> tuple[Baseline, ...]:
    """Returns generation 0: what the search must beat, each model once.

    Args:
        spec: Says which of the usual recipes are wanted, and the user's own.
        pool: The parents.
        taken_over: The best of earlier experiments.

    Raises:
        RecipeFileError: One of the user's own recipes describes no model.
    """
    usual = UsualBaselines(pool, dtype=dtype_of(spec), seed=spec.space.seed)
    found = [*usual.parents()]
    if spec.baselines.standard_recipes:
        found += usual.standard_recipes()
    found += [Baseline(name, read_recipe(text)) for name, text in spec.baselines.recipes.items()]
    found += taken_over
    first = {baseline.recipe.digest: baseline for baseline in reversed(found)}
    return tuple(baseline for baseline in found if first[baseline.recipe.digest] is baseline)


def dtype_of(spec: ExperimentSpec) -> DType | None:
    """Returns the number format of every recipe: an export must be what was scored."""
    return spec.space.dtype or spec.dtype


def short_names(parents: Sequence[Parent]) -> dict[Parent, str]:
    """Returns a name per parent: the last part of its path, or all of it where two end alike."""
    short = [label_of(parent) for parent in parents]
    return {p: name if short.count(name) == 1 else str(p) for p, name in zip(parents, short, strict=True)}


class UsualBaselines:
    """The rungs of generation 0: each parent, their average, and the usual recipes."""

    def __init__(self, pool: ParentPool, *, dtype: DType | None, seed: int) -> None:
        self.pool, self.dtype, self.seed = pool, dtype, seed

    def parents(self) -> Iterator[Baseline]:
        """Yields every parent as it is, the base, and the plain average."""
        pool = self.pool
        known = (*pool.parents, *((pool.base,) if pool.base is not None else ()))
        for parent, name in short_names(known).items():
            kind = CandidateKind.BASE if parent == pool.base else CandidateKind.PARENT
            recipe = self._recipe("passthrough", sources=(Source(parent=parent),))
            yield Baseline(f"{kind}: {name}", recipe, kind)
        if len(pool.parents) > 1:
            recipe = self._recipe("linear", weight=1.0)
            yield Baseline("plain average", recipe, CandidateKind.AVERAGE)

    def standard_recipes(self) -> Iterator[Baseline]:
        """Yields the usual recipes, as far as the parents allow them."""
        if self.pool.base is not None:
            for weight in TASK_ARITHMETIC_WEIGHTS:
                label = f"task arithmetic λ={weight}"
                yield Baseline(label, self._recipe("task_arithmetic", weight=weight, normalize=0.0))
            for method, title in (("ties", "TIES"), ("dare_ties", "DARE-TIES")):
                recipe = self._recipe(method, weight=1.0, density=USUAL_DENSITY, normalize=1.0)
                yield Baseline(f"{title} (density {USUAL_DENSITY})", recipe)
        if len(self.pool.parents) == 2:
            yield Baseline("slerp t=0.5", self._recipe("slerp", base=self.pool.parents[0], t=0.5))

    def _recipe(
        self,
        method: str,
        *,
        sources: tuple[Source, ...] | None = None,
        base: Parent | None = None,
        **parameters: float,
    ) -> Recipe:
        """Returns a recipe in which all parents and layers have the same parameters."""
        own = {name: constant(parameters.pop(name)) for name in ("weight", "density") if name in parameters}
        mixed = sources is None
        return Recipe(
            method=method,
            slices=(
                Slice(sources=sources or tuple(Source(parent=p, parameters=own) for p in self.pool.parents)),
            ),
            base=base or (self.pool.base if mixed else None),
            parameters={name: constant(value) for name, value in parameters.items()},
            dtype=self.dtype,
            tokenizer=(self.pool.base or self.pool.parents[0]) if mixed else None,
            seed=self.seed,
        )
