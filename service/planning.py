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
from search_spaces.mergekit_yaml import read_recipe
from search_spaces.recipe import DType
from search_spaces.settings import constant
from service.appraisal import PruningPolicy
from service.criteria import Constraint, Criteria, Measure
from service.ladder import HalvingRule
from service.optimizers import (
    ChosenAlgorithm,
    MeasureAxis,
    Optimizer,
    OptimizerSetup,
    choose_algorithm,
    optimizer_named,
)
from service.recipe_shape import ParentShape
from service.rounds import RotationRule
from service.schedule import SMALLEST_WINDOW
from service.search_plan import Baseline, RaceRule, SearchPlan
from service.spec import ExperimentSpec, label_of
from service.views import ObjectiveView

TASK_ARITHMETIC_WEIGHTS = (0.3, 0.5, 0.7, 1.0)  # the grid of Ilharco et al., arXiv 2212.04089, thinned
USUAL_DENSITY = 0.5  # of TIES and DARE-TIES
WINDOW_PER_WORKER = 4


class PlannedBaseline(BaseModel):
    """A recipe of generation 0, as it is stored."""

    model_config = ConfigDict(frozen=True)

    label: str
    recipe: Recipe

    @field_serializer("recipe")
    def _canonical(self, recipe: Recipe) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(recipe.canonical_json())
        return content


class Facts(BaseModel):
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

    objectives: tuple[ObjectiveView, ...]
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
    found = Facts.model_validate(facts)
    hours = spec.budget.gpu_hours
    return SearchPlan(
        baselines=tuple(Baseline(planned.label, planned.recipe) for planned in found.baselines),
        candidates=spec.budget.candidates,
        seconds=spec.budget.seconds,
        gpu_seconds=None if hours is None else hours * 3600.0,
        gpus=gpus,
        failures=spec.budget.failures,
        timeout=spec.evaluation_timeout,
        target=spec.budget.target,
        stagnation=spec.budget.stagnation,
        window=window,
        order=spec.optimizer.order,
        criteria=criteria_for(spec, found),
        failure_policy=spec.failure_policy,
        race=race_rule_for(spec),
        rotation=rotation_rule_for(spec, found),
        halving=halving_rule_for(spec, found),
        pruned=told_of_pruned(spec),
    )


def race_rule_for(spec: ExperimentSpec) -> RaceRule | None:
    """Returns how candidates race the best one; None where everyone is asked everything."""
    rule = spec.racing
    if rule is None:
        return None
    return RaceRule(spec.weights, z=rule.z, batch=rule.batch, seed=spec.seed)


def halving_rule_for(spec: ExperimentSpec, facts: Facts) -> HalvingRule | None:
    """Returns how generations are halved; None where everyone is asked everything."""
    rule = spec.halving
    if rule is None:
        return None
    sizes = tuple(objective.items["search"] for objective in facts.objectives)
    return HalvingRule(sizes, spec.weights, rule.first, rule.eta, spec.seed)


def told_of_pruned(spec: ExperimentSpec) -> PruningPolicy:
    """Returns what the optimizer hears of candidates that were not asked everything."""
    rule = spec.racing or spec.halving
    return "estimate" if rule is None else rule.told


def rotation_rule_for(spec: ExperimentSpec, facts: Facts) -> RotationRule | None:
    """Returns how many items a generation is asked; None where it is all of them."""
    rule = spec.rotation
    if rule is None:
        return None
    sizes = tuple(objective.items["search"] for objective in facts.objectives)
    return RotationRule(rule.items, rule.elites, sizes, spec.seed)


def criteria_for(spec: ExperimentSpec, facts: Facts) -> Criteria:
    """Returns what is measured and must hold beside the objectives."""
    return Criteria(
        measures=tuple(
            Measure(
                name=m.label,
                kind="score" if m.kind == "output_length" else m.kind,
                low=m.low,
                high=m.high,
                cells=m.cells,
                objective=m.objective or "",
                parent=m.parent,
            )
            for m in spec.measures
        ),
        constraints=tuple(
            Constraint(
                kind="score" if c.kind == "output_length" else c.kind,
                objective=c.objective or "",
                parent=c.parent,
                at_least=c.at_least,
                at_most=c.at_most,
                best_parent=c.not_below is not None,
                standard_errors=c.standard_errors,
            )
            for c in spec.constraints
        ),
        shape=ParentShape(facts.layers, facts.layer_prefix, facts.parameters, facts.layer_parameters),
        parents=mixed_parents(spec),
    )


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
    ladder = Ladder(pool, dtype=dtype_of(spec), seed=spec.space.seed)
    found = [*ladder.parents()]
    if spec.baselines.standard_recipes:
        found += ladder.standard_recipes()
    # What nobody reads in them was told when the spec was checked.
    found += [Baseline(name, read_recipe(text, notices=[])) for name, text in spec.baselines.recipes.items()]
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


class Ladder:
    """The rungs of generation 0: each parent, their average, and the usual recipes."""

    def __init__(self, pool: ParentPool, *, dtype: DType | None, seed: int) -> None:
        self.pool, self.dtype, self.seed = pool, dtype, seed

    def parents(self) -> Iterator[Baseline]:
        """Yields every parent as it is, the base, and the plain average."""
        pool = self.pool
        known = (*pool.parents, *((pool.base,) if pool.base is not None else ()))
        for parent, name in short_names(known).items():
            kind = "base" if parent == pool.base else "parent"
            yield Baseline(f"{kind}: {name}", self._recipe("passthrough", sources=(Source(parent=parent),)))
        if len(pool.parents) > 1:
            yield Baseline("plain average", self._recipe("linear", weight=1.0))

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
