"""What a user says of a parameter space, and what is refused of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.catalogue.methods import Method, MethodParameter
from search_spaces.errors import RecipeError, SpaceDefinitionError, UnknownNameError
from search_spaces.genome import Gene
from search_spaces.recipes.recipe import DType, value_problems
from search_spaces.spaces.space import ParentPool, TemplateOwners

Bounds = tuple[float, float]


class ParameterSpaceOptions(BaseModel):
    """What a user says of a parameter space.

    Attributes:
        method: The merge method.
        methods: Several: a gene of its own says which one merges.
        layer_groups: Runs of layers with genes of their own; 1 gives all layers the same.
        group_size: How many layers a run has, instead of how many runs there are; the last may be shorter.
        filters: Parts of tensor names (`self_attn`, `mlp`) with genes of their own inside each group.
        outer_genes: Gives the embeddings, final norm and head genes of their own.
        smooth: Interpolates over depth between the groups instead of stepping.
        search: Parameters to search; by default those that the method declares as searched.
        bounds: Ranges other than the method's own.
        fixed: Values of parameters that are not searched, for all parents.
        frozen: Genes that are not searched: name or pattern -> value.
        chat_templates: Whose chat template the merged model takes is searched over: these models', or, for
            `search`, those of all parents that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["parameter"] = "parameter"
    method: str = "task_arithmetic"
    methods: tuple[str, ...] | None = None
    layer_groups: Annotated[int, Field(ge=1, le=1000)] = 1
    group_size: Annotated[int, Field(ge=1, le=1000)] | None = None
    filters: tuple[str, ...] = ()
    outer_genes: bool = False
    smooth: bool = False
    search: tuple[str, ...] | None = None
    bounds: dict[str, Bounds] = {}
    fixed: dict[str, float | bool | str] = {}
    frozen: dict[str, Gene] = {}
    chat_templates: TemplateOwners = ()
    dtype: DType | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    def edges(self, layers: int) -> list[int]:
        """Returns where the runs of layers begin, and where the last ends."""
        if self.group_size is not None:
            return [*range(0, layers, self.group_size), layers]
        return [round(i * layers / self.layer_groups) for i in range(self.layer_groups + 1)]


def fixed_number(parameter: MethodParameter, value: float | bool | str) -> float:  # noqa: FBT001 - no switch
    """Returns a fixed value as recipes hold it: a choice is the number of its word.

    Raises:
        SpaceDefinitionError: It is no value of this parameter.
    """
    field = f"space.fixed.{parameter.name}"
    if parameter.kind == "choice":
        if value not in parameter.choices:
            words = ", ".join(parameter.choices)
            raise SpaceDefinitionError(field, f"{value!r} is none of its words", f"write one of: {words}")
        return float(parameter.choices.index(str(value)))
    if isinstance(value, str):
        raise SpaceDefinitionError(field, f"{value!r} is no number", "write a number")
    for problem in parameter_problems_of(parameter, (float(value),), field):
        raise problem
    return float(value)


def searched_parameters(options: ParameterSpaceOptions, method: Method) -> tuple[MethodParameter, ...]:
    """Returns the parameters that have genes."""
    if options.search is None:
        return tuple(p for p in method.parameters if p.searched and p.name not in options.fixed)
    return tuple(method.parameter(name) for name in options.search)


def parameter_problems_of(
    parameter: MethodParameter, values: tuple[float, ...], field: str
) -> Iterator[SpaceDefinitionError]:
    """Yields the values that no recipe may give the parameter."""
    for value in values:
        for problem in value_problems(parameter, value, field):
            yield SpaceDefinitionError(field, problem.detail, problem.remedy)


def check_parameter_options(options: ParameterSpaceOptions, method: Method, pool: ParentPool) -> None:
    """Refuses options that hold no recipe.

    Raises:
        SpaceDefinitionError: They contradict each other, the method or the parents.
        UnknownNameError: They name a parameter that the method does not have.
    """
    _check_names(options, method)
    for name, bounds in options.bounds.items():
        _check_bounds(name, bounds, options, method)
    _check_groups(options, method, pool)
    _check_pool(method, pool)


def _check_bounds(name: str, bounds: Bounds, options: ParameterSpaceOptions, method: Method) -> None:
    (low, high), field = bounds, f"space.bounds.{name}"
    if not (low < high and math.isfinite(high - low)):
        raise SpaceDefinitionError(
            field, f"[{low}, {high}] holds nothing, or everything", "write [low, high]"
        )
    if name in options.fixed:
        raise SpaceDefinitionError(
            field, f"{name} is fixed at {options.fixed[name]}", "leave one of them out"
        )
    for problem in parameter_problems_of(method.parameter(name), bounds, field):
        raise problem


def _check_groups(options: ParameterSpaceOptions, method: Method, pool: ParentPool) -> None:
    if options.layer_groups > pool.layers:
        detail = f"{options.layer_groups} groups of {pool.layers} layers"
        raise SpaceDefinitionError("space.layer_groups", detail, f"use at most {pool.layers}")
    if options.group_size is not None and options.layer_groups != 1:
        detail = f"groups of {options.group_size} layers, and layer_groups is {options.layer_groups}"
        raise SpaceDefinitionError("space.group_size", detail, "leave one of them out")
    if options.group_size is not None and options.group_size > pool.layers:
        detail = f"groups of {options.group_size} layers, where there are {pool.layers}"
        raise SpaceDefinitionError("space.group_size", detail, f"use at most {pool.layers}")
    for parameter in searched_parameters(options, method):
        if parameter.whole and options.smooth:
            detail = f"{parameter.name} is a whole number, between which there is nothing"
            raise SpaceDefinitionError("space.smooth", detail, f"leave smooth out, or fix {parameter.name}")
    for name in options.filters:
        if not name or options.filters.count(name) > 1:
            detail = "an empty filter" if not name else f"{name!r} stands there twice"
            raise SpaceDefinitionError("space.filters", detail, "write each part of a name once")


def _check_names(options: ParameterSpaceOptions, method: Method) -> None:
    known = [parameter.name for parameter in method.parameters]
    named = [("search", n) for n in options.search or ()] + [("bounds", n) for n in options.bounds]
    for field, name in [*named, *(("fixed", n) for n in options.fixed)]:
        if name not in known:
            raise UnknownNameError(f"space.{field}.{name}", f"parameter of {method.name}", name, known)
    for field, name in named:
        if method.parameter(name).kind != "number":
            detail = f"{name} is a {method.parameter(name).kind}, and a search moves numbers"
            raise SpaceDefinitionError(f"space.{field}.{name}", detail, f"set it in fixed: {{{name}: ...}}")
    for name, value in options.fixed.items():
        fixed_number(method.parameter(name), value)
    if both := set(options.search or ()) & set(options.fixed):
        raise SpaceDefinitionError("space.fixed", f"{sorted(both)} are searched as well", "name each once")
    _check_searched(options, method)


def _check_searched(options: ParameterSpaceOptions, method: Method) -> None:
    searched = {parameter.name for parameter in searched_parameters(options, method)}
    if not searched:
        numbers = [p.name for p in method.parameters if p.kind == "number" and p.name not in options.fixed]
        hint = f"search one of: {', '.join(numbers)}"
        if not numbers:
            hint = f"choose another method, or give a {method.name} recipe in baselines.recipes"
        raise SpaceDefinitionError("space.search", "no parameter is searched", hint)
    for parameter in method.parameters:
        if parameter.default is None and parameter.name not in {*searched, *options.fixed}:
            detail = f"{parameter.name} is neither searched nor fixed, and has no default"
            raise SpaceDefinitionError("space.search", detail, f"add {parameter.name} to search or fixed")


def _check_pool(method: Method, pool: ParentPool) -> None:
    if method.needs_base and pool.base is None:
        raise RecipeError("base", f"{method.name} needs a base model", "name the parents' common ancestor")
    count = len(pool.parents) + int(method.base_is_a_parent and pool.base not in (None, *pool.parents))
    if count < method.fewest_parents or (method.most_parents is not None and count > method.most_parents):
        with_base = ", the base counted" if count > len(pool.parents) else ""
        detail = f"{method.name} takes {method.parents_wanted}, got {count}{with_base}"
        hint = "make one of the parents the base" if with_base else "change the list"
        raise SpaceDefinitionError("parents", detail, f"{hint}, or take another method")
