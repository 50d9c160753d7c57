"""From a spec and the facts about its parents to what the search loop works with.  Pure: no files.

Used twice: before an experiment exists, to see that it can be planned, and whenever a controller
runs it.  The baselines are planned once and kept among the facts, so that a run does not depend
on files that changed in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from search_spaces import (
    Eyes,
    HeadedSpace,
    Heads,
    Infeasible,
    Parent,
    ParentPool,
    SearchSpace,
    SeeingSpace,
    build_space,
)
from search_spaces.spaces.pinned import PinnedSpace
from service.experiment.objectives import ObjectiveFacts
from service.experiment.spec import SMALLEST_WINDOW, ExperimentSpec
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
from service.specification.baselines import PlannedBaseline, dtype_of
from workers.checkpoints.comparing.weight_changes import WeightChanges

WINDOW_PER_WORKER = 4


class ExperimentFacts(BaseModel):
    """What was found out about an experiment when it was created.

    Attributes:
        algorithm, algorithm_reason: The optimizer and the reason for it; kept, so that a run goes on with it
            when a later version would choose otherwise.
        layers, layer_prefix: The shape that the parents share.
        parameters: Of one parent; `layer_parameters`: of one of its layers.
        parent_bytes: Of all parents' weights.
        window: Of a steady state: what was chosen when it first ran, and stays.
        first_budget: Candidates that were planned before the experiment was extended: what the
            algorithm was built for.
        kinship: How alike any two parents are, as far as it was measured.
        eyes: Whose vision tower merged models get; None where no parent sees.
        heads: Which parents tie their embeddings; None where all do, or none.
        changes: What parents changed of the base, as far as it is known.
        pinned: Genes that do nothing, and are not searched.
        transferred: How many of the baselines are known from which experiment.
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
    eyes: Eyes | None = None
    heads: Heads | None = None
    changes: tuple[WeightChanges, ...] = ()
    pinned: tuple[str, ...] = ()
    transferred: dict[str, int] = {}


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
    space = with_eyes(build_space(options, build_pool(spec, facts)), eyes_in(facts))
    space = with_heads(space, heads_in(facts))
    pinned = facts.get("pinned") or ()
    return PinnedSpace(space, pinned) if pinned else space


def eyes_in(facts: Mapping[str, Any]) -> Eyes | None:
    """Returns whose vision tower merged models get."""
    said = facts.get("eyes")
    return None if said is None else Eyes.model_validate(said)


def with_eyes(space: SearchSpace, eyes: Eyes | None) -> SearchSpace:
    """Returns the space of models that see, where a parent does."""
    return space if eyes is None else SeeingSpace(space, eyes)


def heads_in(facts: Mapping[str, Any]) -> Heads | None:
    """Returns which parents tie their embeddings, where not all do or none."""
    said = facts.get("heads")
    return None if said is None else Heads.model_validate(said)


def with_heads(space: SearchSpace, heads: Heads | None) -> SearchSpace:
    """Returns the space of models with a head of their own, where parents differ in theirs."""
    return space if heads is None else HeadedSpace(space, heads)


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
    """Returns the optimizer's name, and why it was chosen."""
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
        benchmarks=tuple(objective.name for objective in found.objectives),
    )


def criteria_for(spec: ExperimentSpec, facts: ExperimentFacts) -> Criteria:
    """Returns what is measured and must hold beside the objectives."""
    shape = ParentShape(facts.layers, facts.layer_prefix, facts.parameters, facts.layer_parameters)
    return Criteria(spec.measures, spec.constraints, shape, mixed_parents(spec))
