"""Checks the criteria of a spec, and the settings of its optimizer, against the rest of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from evaluators import BenchmarkFacts
from search_spaces import Parent
from search_spaces.errors import SpaceError, did_you_mean
from search_spaces.genome import Variable
from service.errors import Mistake
from service.experiment.criteria import Constraint, Measure
from service.experiment.spec import Budget, Halving, Objective, OptimizerOptions, Rotation
from service.optimizers import (
    OPTIMIZERS,
    MeasureAxis,
    Optimizer,
    OptimizerSetup,
    choose_algorithm,
    optimizer_named,
)
from service.specification.reading import from_space_error, pointer_to, read_part

T = TypeVar("T")


def criteria_mistakes(raw: Mapping[str, Any], parents: Sequence[Parent]) -> Iterator[Mistake]:
    """Yields measures and constraints that speak of what the experiment does not have."""
    asked = _parts(raw, "objectives", Objective)
    yield from _strangers(asked, parents)
    objectives = [objective.label for objective in asked.values()]
    measures, constraints = _parts(raw, "measures", Measure), _parts(raw, "constraints", Constraint)
    for key, found in (("measures", measures), ("constraints", constraints)):
        for place, each in found.items():
            yield from _unknown(each, pointer_to(key, place), objectives, parents)
    if raw.get("halving") is not None and len(objectives) > 1:
        detail = f"{len(objectives)} objectives make a front, whose ends would lose against the mean"
        remedy = "leave halving out (racing stops what lies behind in every objective), or name one objective"
        yield Mistake("/halving", "needs_one_objective", detail, remedy)
    for key in ("racing", "halving"):
        if raw.get(key) is not None and measures:
            detail = "an archive's cells would lose against the best of all of them"
            yield Mistake(f"/{key}", "needs_one_objective", detail, f"leave {key} or measures out")
    if raw.get("racing") is not None and raw.get("halving") is not None:
        detail = "candidates either race the best so far or are compared with their generation"
        yield Mistake("/halving", "excludes_racing", detail, "leave racing or halving out")
    labels = [measure.label for measure in measures.values()]
    for place, measure in measures.items():
        if labels.index(measure.label) < list(measures).index(place):
            detail = f"two measures are called {measure.label!r}"
            yield Mistake(pointer_to("measures", place), "duplicate", detail, "give one another `name`")


def _strangers(objectives: Mapping[int, Objective], parents: Sequence[Parent]) -> Iterator[Mistake]:
    """Yields objectives that compare with what is none of the experiment's parents, nor its base."""
    for place, objective in objectives.items():
        name = objective.parent
        count = 1 if name is None or not parents else sum(parent.is_called(name) for parent in parents)
        if count != 1:
            detail = f"{name} names {count} of the experiment's parents and base"
            remedy = did_you_mean(str(name), list(map(str, parents)))
            yield Mistake(f"{pointer_to('objectives', place)}/parent", "unknown_parent", detail, remedy)


def optimizer_mistakes(
    raw: Mapping[str, Any], variables: tuple[Variable, ...], parents: Sequence[Parent]
) -> Iterator[Mistake]:
    """Yields what is wrong with the optimizer's name and settings, or too much for the budget."""
    options = read_part(OptimizerOptions, raw.get("optimizer", {}))
    budget = read_part(Budget, raw.get("budget", {}))
    if options is None:
        return
    try:
        optimizer = _build(options, budget, raw, variables, parents)
    except SpaceError as error:
        if not (error.field == "measures" and raw.get("measures")):  # else what is wrong with them says more
            yield from_space_error(error)
    else:
        yield from _pace(options, optimizer)
        yield from _takes_back(raw, optimizer)
        yield from _foresees(raw, optimizer)
        if raw.get("halving") is not None and _is_steady(options, optimizer):
            detail = "in a steady state there is no generation whose better part could go on"
            remedy = "set optimizer.steady_state to false, or use racing instead"
            yield Mistake("/halving", "needs_generations", detail, remedy)
        if options.population is None:
            yield from _too_large("the algorithm's usual population", optimizer.population, budget)
    if options.population is not None:
        yield from _too_large("a population", options.population, budget)


def _too_large(what: str, population: int, budget: Budget | None) -> Iterator[Mistake]:
    """Yields a population whose first generation would never be complete."""
    if budget is None or population <= budget.candidates:
        return
    detail = f"{what} of {population} is larger than the budget of {budget.candidates}"
    remedy = f"raise budget.candidates to {population} or more, or set optimizer.population to "
    yield Mistake(
        "/optimizer/population", "larger_than_budget", detail, f"{remedy}{budget.candidates} or less"
    )


def _build(
    options: OptimizerOptions,
    budget: Budget | None,
    raw: Mapping[str, Any],
    variables: tuple[Variable, ...],
    parents: Sequence[Parent],
) -> Optimizer:
    given = raw.get("objectives")
    count = len(given) if isinstance(given, list) else 1
    measures = _parts(raw, "measures", Measure).values()
    setup = OptimizerSetup(
        variables,
        0,
        weights=(1.0,) * max(count, 1),
        population=options.population,
        sigma=options.sigma,
        measures=tuple(MeasureAxis(m.label, m.low, m.high, m.cells) for m in measures),
        parents=len(parents),
        options=options.options,
        budget=budget.candidates if budget is not None else None,
        kinship=_unrelated(len(parents)),  # it is measured once all else is right
    )
    chosen = choose_algorithm(
        options.algorithm, variables, count, measures=len(setup.measures), budget=setup.budget
    )
    return optimizer_named(chosen.name)(setup)


def _unrelated(parents: int) -> tuple[tuple[float, ...], ...] | None:
    return tuple(tuple(float(i == j) for j in range(parents)) for i in range(parents)) or None


def _pace(options: OptimizerOptions, optimizer: Optimizer) -> Iterator[Mistake]:
    """Yields settings of a steady state that is none."""
    if _is_steady(options, optimizer):
        return
    remedy = "set optimizer.steady_state to true, or leave it out"
    if options.order == "completed":
        detail = "generations are told when they are complete, so candidates cannot be told as they come"
        yield Mistake("/optimizer/order", "needs_steady_state", detail, remedy)
    if options.window is not None:
        detail = f"a window of {options.window} has no meaning where generations are asked for"
        yield Mistake("/optimizer/window", "needs_steady_state", detail, remedy)


def _is_steady(options: OptimizerOptions, optimizer: Optimizer) -> bool:
    return optimizer.steady_state if options.steady_state is None else options.steady_state


def _takes_back(raw: Mapping[str, Any], optimizer: Optimizer) -> Iterator[Mistake]:
    """Yields an optimizer that would keep what candidates scored on other items."""
    if raw.get("rotation") is None or optimizer.supports_reevaluation:
        return
    able = _able("supports_reevaluation")
    detail = "this algorithm keeps what a candidate scored once, so that the lucky ones would stay for ever"
    yield Mistake(
        "/rotation", "needs_another_optimizer", detail, f"leave rotation out, or use one of {', '.join(able)}"
    )


def _foresees(raw: Mapping[str, Any], optimizer: Optimizer) -> Iterator[Mistake]:
    """Yields an end by a forecast, where the algorithm has none."""
    budget = raw.get("budget")
    if optimizer.forecasts or not isinstance(budget, Mapping) or budget.get("least_gain") is None:
        return
    detail = "this algorithm does not foresee what further candidates gain"
    able = ", ".join(_able("forecasts"))
    yield Mistake(
        "/budget/least_gain", "needs_another_optimizer", detail, f"use stagnation, or one of {able}"
    )


def _able(trait: str) -> list[str]:
    return sorted(name for name, kind in OPTIMIZERS.items() if getattr(kind, trait))


def rotation_mistakes(raw: Mapping[str, Any], entries: Sequence[BenchmarkFacts]) -> Iterator[Mistake]:
    """Yields parts of items that there are too few of, or that are no parts of a score."""
    rotation = read_part(Rotation, raw["rotation"]) if raw.get("rotation") is not None else None
    halving = read_part(Halving, raw["halving"]) if raw.get("halving") is not None else None
    if not entries:
        return
    for key, rule in (("rotation", rotation), ("halving", halving)):
        for entry in entries if rule is not None else ():
            if not entry.additive:
                detail = (
                    f"{entry.name}'s {entry.metrics[0]} is no mean over items: it cannot be asked in parts"
                )
                yield Mistake(f"/{key}", "no_mean", detail, f"leave {key} out, or take another metric")
    most = max(entry.items["search"] for entry in entries)
    if rotation is not None and most < 2 * rotation.items:
        detail = f"{rotation.items} of {most} search items leave nothing to rotate"
        remedy = f"use {most // 2} or fewer, or leave rotation out"
        yield Mistake("/rotation/items", "nothing_to_rotate", detail, remedy)
    asked = most if rotation is None else min(most, rotation.items)
    if halving is not None and asked <= halving.first:
        detail = f"the first rung asks {halving.first} of {asked} items: no candidate would be stopped early"
        yield Mistake("/halving/first", "nothing_to_halve", detail, f"use fewer than {asked}")


def _unknown(
    each: Measure | Constraint, pointer: str, objectives: Sequence[str], parents: Sequence[Parent]
) -> Iterator[Mistake]:
    if each.objective is not None and each.objective not in objectives:
        detail = f"there is no objective {each.objective!r}"
        yield Mistake(
            f"{pointer}/objective", "unknown_objective", detail, did_you_mean(each.objective, objectives)
        )
    names = [str(parent) for parent in parents]
    if each.parent is not None and str(each.parent) not in names:
        detail = f"{each.parent} is none of the experiment's parents"
        yield Mistake(f"{pointer}/parent", "unknown_parent", detail, did_you_mean(str(each.parent), names))


def _parts(raw: Mapping[str, Any], key: str, kind: type[T]) -> dict[int, T]:
    """Returns the members of a list that can be read, by their places."""
    given = raw.get(key)
    items = enumerate(given) if isinstance(given, list) else ()
    return {place: part for place, item in items if (part := read_part(kind, item)) is not None}
