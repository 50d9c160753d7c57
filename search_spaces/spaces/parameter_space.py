"""Parameter space: how much of each parent goes into each part of the network.

One gene per (searched parameter, parent, layer group, tensor filter), as in Akiba et al.
(arXiv 2403.13187, section 3.1) and mergekit-evolve.  Layer groups are contiguous runs of layers of
as equal length as can be; they need not divide the number of layers.  Recipes have one slice per
group, so that they are ordinary mergekit recipes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from search_spaces.catalogue.methods import MethodParameter, method_named
from search_spaces.errors import NotInSpaceError, SpaceDefinitionError
from search_spaces.genome import Axis, Genome, Integer, Real, Variable
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice, Source
from search_spaces.recipes.settings import Parameter, Setting, canonical_number, constant
from search_spaces.spaces.coefficients import coefficient, plain_weights, same_coefficients, with_layers_named
from search_spaces.spaces.parameter_options import (
    ParameterSpaceOptions,
    check_parameter_options,
    fixed_number,
    searched_parameters,
)
from search_spaces.spaces.space import Infeasible, ParentPool

__all__ = ["ParameterSpace", "ParameterSpaceOptions"]


@dataclass(frozen=True, slots=True)
class _Location:
    """Where a gene acts: a layer group (None: outside the layers) and a tensor filter (None: the rest)."""

    group: int | None
    filter: str | None

    def __str__(self) -> str:
        where = "outside the layers" if self.group is None else f"group {self.group}"
        return where if self.filter is None else f"{where}, {self.filter}"


class ParameterSpace:
    """The parameter space of one merge method over a pool of parents."""

    kind = "parameter"
    Options = ParameterSpaceOptions

    def __init__(self, options: ParameterSpaceOptions, pool: ParentPool) -> None:
        self.options, self.pool = options, pool
        self.method = method_named(options.method, "space.method")
        check_parameter_options(options, self.method, pool)
        self._searched = searched_parameters(options, self.method)
        self._edges = [0, pool.layers] if self.method.name == "passthrough" else options.edges(pool.layers)
        self._places = tuple(self._all_places())
        self._owners: dict[str, tuple[Parent | None, ...]] = {
            p.name: pool.parents if p.scope == "parent" else (None,) for p in self._searched
        }
        self._variables = tuple(self._all_variables())

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One variable per parameter, owner (a parent, or all of them) and place."""
        return self._variables

    @property
    def edges(self) -> tuple[int, ...]:
        """Where the layer groups begin, and where the last ends."""
        return tuple(self._edges)

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe with these coefficients."""
        genes = self._by_owner(genome)
        if all(
            float(g) == 0.0
            for v, g in zip(self._variables, genome, strict=True)
            if v.name.startswith("weight")
        ):
            weighted = any(parameter.name == "weight" for parameter in self._searched)
            if weighted and self._divides_by_weights():
                return Infeasible("all weights are 0 and the method divides by their sum")
        slices = (
            (self._slice(genes, 0, self.pool.layers, None),)
            if self.options.smooth or len(self._edges) == 2
            else tuple(self._slice(genes, a, b, i) for i, (a, b) in enumerate(pairwise(self._edges)))
        )
        return Recipe(
            method=self.method.name,
            slices=slices,
            base=self.pool.base if self.method.needs_base or self.method.takes_base else None,
            parameters={name: constant(float(value)) for name, value in self._fixed().items()},
            dtype=self.options.dtype,
            tokenizer=self.pool.base or self.pool.parents[0],
            seed=self.options.seed,
        )

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the genome with the recipe's coefficients at the middle of each group.

        A parent taken as it is and a weighted average are also found in the spaces of methods
        on task vectors, which can express them.

        Raises:
            NotInSpaceError: The recipe varies where this space has one gene, uses another method,
                or has coefficients out of bounds.
        """
        recipe = with_layers_named(self._in_own_terms(recipe), self.pool.layers)
        genes = tuple(
            self._gene_of(recipe, variable, parameter, owner, place)
            for variable, (parameter, owner, place) in zip(self._variables, self._axes(), strict=True)
        )
        again = self.decode(genes)
        if isinstance(again, Infeasible) or not same_coefficients(recipe, again, self.pool):
            raise NotInSpaceError(
                "recipe", "it varies where this space has one gene", "use more layer groups or filters"
            )
        return genes

    def _axes(self) -> Iterator[tuple[MethodParameter, Parent | None, _Location]]:
        for parameter in self._searched:
            for owner in self._owners[parameter.name]:
                for place in self._places:
                    yield parameter, owner, place

    def _all_places(self) -> Iterator[_Location]:
        for group in range(len(self._edges) - 1):
            for name in self.options.filters:
                yield _Location(group, name)
            yield _Location(group, None)
        if self.options.outer_genes:
            yield _Location(None, None)

    def _all_variables(self) -> Iterator[Real | Integer]:
        for parameter, owner, place in self._axes():
            low, high = self.options.bounds.get(parameter.name, (parameter.low, parameter.high))
            start = self._start(parameter, low, high)
            whose = "" if owner is None else f" of {self._label(owner)}"
            axis = Axis(
                parameter.name,
                None if owner is None else self.pool.parents.index(owner),
                self._places.index(place),
            )
            name = f"{parameter.name}{whose} ({place})"
            if parameter.whole:
                yield Integer(name, int(low), int(high), int(start), axis)
            else:
                yield Real(name, float(low), float(high), start, axis)

    def _start(self, parameter: MethodParameter, low: float, high: float) -> float:
        """Weights start as a plain average, other parameters at their default or the middle."""
        if parameter.name == "weight":
            return min(max(1.0 / len(self.pool.parents), low), high)
        value = parameter.default if parameter.default is not None else (low + high) / 2
        return min(max(value, low), high)

    def _label(self, parent: Parent) -> str:
        return parent.model.rstrip("/").rsplit("/", 1)[-1]

    def _fixed(self) -> dict[str, float]:
        fixed = {
            name: fixed_number(self.method.parameter(name), value)
            for name, value in self.options.fixed.items()
        }
        if any(p.name == "normalize" for p in self.method.parameters):
            # The published optimum's weights sum to about 2: normalising would hide it from the search.
            fixed.setdefault("normalize", 0.0)
        return fixed

    def _divides_by_weights(self) -> bool:
        said = {parameter.name: parameter.default for parameter in self.method.parameters} | self._fixed()
        by_switch = any(said.get(name) == 1.0 for name in ("normalize", "normalize_weights"))
        return by_switch or self.method.name == "karcher"  # which always does

    def _by_owner(self, genome: Genome) -> dict[tuple[str, Parent | None], dict[_Location, float]]:
        if len(genome) != len(self._variables):
            detail = f"{len(genome)} genes for {len(self._variables)} variables"
            raise SpaceDefinitionError("genome", detail, "give one gene per variable")
        genes: dict[tuple[str, Parent | None], dict[_Location, float]] = {}
        for (parameter, owner, place), gene in zip(self._axes(), genome, strict=True):
            genes.setdefault((parameter.name, owner), {})[place] = float(gene)
        return genes

    def _slice(
        self,
        genes: Mapping[tuple[str, Parent | None], Mapping[_Location, float]],
        start: int,
        end: int,
        group: int | None,
    ) -> Slice:
        def own(owner: Parent | None) -> dict[str, Parameter]:
            return {
                name: self._parameter(places, group) for (name, of), places in genes.items() if of == owner
            }

        sources = [Source(parent=p, layers=(start, end), parameters=own(p)) for p in self.pool.parents]
        if (
            self.method.base_is_a_parent
            and self.pool.base is not None
            and self.pool.base not in self.pool.parents
        ):
            sources.insert(0, Source(parent=self.pool.base, layers=(start, end)))
        return Slice(sources=tuple(sources), parameters=own(None))

    def _parameter(self, places: Mapping[_Location, float], group: int | None) -> Parameter:
        """The settings of one parameter in one slice: filters, the rest, then what is no layer."""
        groups = range(len(self._edges) - 1)
        layered = []
        for name in (*self.options.filters, None):
            values = tuple(places[_Location(i, name)] for i in groups)
            value = values[group or 0] if group is not None or len(values) == 1 else values
            layered.append(Setting(value=value, filter=name))
        outer = places.get(_Location(None, None))
        if outer is None:
            return tuple(layered)
        rest = layered[-1].model_copy(update={"filter": self.pool.layer_prefix})
        return (*layered[:-1], rest, Setting(value=outer))

    def _gene_of(
        self,
        recipe: Recipe,
        variable: Variable,
        parameter: MethodParameter,
        owner: Parent | None,
        place: _Location,
    ) -> float | int:
        tensor = self._tensor_at(place)
        value = coefficient(recipe, parameter, owner, tensor, self._layer_at(place))
        if value is None:
            raise NotInSpaceError("recipe", f"it does not use {owner}", "give the space the same parents")
        value = int(value) if parameter.whole else canonical_number(value)
        if not variable.holds(value):
            raise NotInSpaceError(
                "recipe", f"{variable.name} is {value}, out of bounds", "widen space.bounds"
            )
        return value

    def _layer_at(self, place: _Location) -> float | None:
        if place.group is None:
            return None
        if self.options.smooth:  # a knot of the gradient, which may lie between two layers
            return place.group / max(len(self._edges) - 2, 1) * (self.pool.layers - 1)
        return (self._edges[place.group] + self._edges[place.group + 1] - 1) // 2

    def _tensor_at(self, place: _Location) -> str:
        layer = self._layer_at(place)
        return "" if layer is None else f"{self.pool.layer_prefix}{round(layer)}.{place.filter or ''}"

    def _in_own_terms(self, recipe: Recipe) -> Recipe:
        """Rewrites a single parent or a weighted average as coefficients of this space's method."""
        if recipe.method == self.method.name:
            return recipe
        if self.method.name in ("linear", "slerp", "passthrough"):
            detail = f"it is a {recipe.method} recipe, the space is {self.method.name}"
            raise NotInSpaceError("recipe", detail, "search a space of its own method")
        if not any(p.name == "weight" and p.scope == "parent" for p in self.method.parameters):
            detail = f"it is a {recipe.method} recipe, and {self.method.name} has no weights to write it with"
            raise NotInSpaceError("recipe", detail, "search a space of its own method")
        weights = plain_weights(recipe, self.pool)
        sources = tuple(
            Source(parent=p, parameters={"weight": constant(weights.get(p, 0.0))}) for p in self.pool.parents
        )
        normalize = (
            {"normalize": constant(0.0)} if "normalize" in {p.name for p in self.method.parameters} else {}
        )
        return Recipe(
            method=self.method.name,
            slices=(Slice(sources=sources),),
            base=self.pool.base,
            parameters=normalize,
        )
