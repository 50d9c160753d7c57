"""The search space of mergekit-evolve: its files, its genotypes, the same recipes.

A genotype gives the recipe that mergekit 0.1.5 makes of it, whose number format is bfloat16 unless
another is asked for (`tests/search_spaces/spaces/test_mergekit_evolve.py` holds it to recorded ones).  What
changes no model is left out of ours: `int8_mask`, slerp's `normalize` and per-model `weight`, and the
base's own genes in the methods that add task vectors to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from search_spaces.catalogue.methods import method_named
from search_spaces.errors import NotInSpaceError, RecipeError
from search_spaces.genome import Genome, Variable
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice, Source, missing_base, parent_problems
from search_spaces.recipes.settings import Parameter, Setting, constant
from search_spaces.spaces.mergekit_genotype import HIGHEST, LOWEST, Genotype, MergekitEvolveOptions
from search_spaces.spaces.parameter_options import ParameterSpaceOptions
from search_spaces.spaces.parameter_space import ParameterSpace
from search_spaces.spaces.space import Infeasible, ParentPool

LEAST_LEAD = 1e-9  # of a rank over the next: keeps their order, and t at 0.5 to eight digits
# Of a parameter space that only reads recipes.
_WIDE = {"weight": (-1e6, 1e6), "density": (0.0, 1.0)}


def mergekit_evolve_space(
    options: MergekitEvolveOptions, pool: ParentPool
) -> MergekitMixtureSpace | MergekitSlerpSpace:
    """Returns the space of a file's genotypes.

    Raises:
        SpaceDefinitionError: The options contradict each other, or the parents.
        RecipeError: The method cannot mix these parents.
    """
    kind = MergekitSlerpSpace if options.method == "slerp" else MergekitMixtureSpace
    return kind(options, pool)


class MergekitMixtureSpace:
    """Weights, and densities where the method has them, per group of layers, model and filter."""

    kind = "mergekit_evolve"
    Options = MergekitEvolveOptions

    def __init__(self, options: MergekitEvolveOptions, pool: ParentPool) -> None:
        self.options, self.pool = options, pool
        self.genotype = Genotype(options, pool)
        self.method = method_named(options.method, "space.method")
        if self.method.needs_base and pool.base is None:
            raise missing_base(self.method)
        _check_parents(self.genotype.models, options, None)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The genotype's numbers in order: group, model, filter, parameter."""
        return self.genotype.variables

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe with these weights and densities."""
        values, genotype = self.genotype.array(genome), self.genotype
        if self.options.normalizes and self.options.method == "linear":
            sums = values[..., 0].sum(axis=1)
            if (sums == 0.0).any():
                return Infeasible("weights add up to 0 and are divided by their sum")
        slices = tuple(self._slice(values[g : g + 1], genotype.layers(g)) for g in range(genotype.groups))
        if self.options.smooth:
            slices = (self._slice(values, None),)
        shared = {"normalize": constant(float(self.options.normalizes))}
        return _recipe(self.options, self.pool.base, slices, shared)

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the genotype with the recipe's coefficients; the base's own genes stay at their start.

        Raises:
            NotInSpaceError: The recipe varies where this space has one gene, uses another method, or
                has coefficients out of bounds.
        """
        reader, models = self._reader()
        known = dict(zip((v.axis for v in reader.variables), reader.encode(recipe), strict=True))
        found = []
        for variable in self.genotype.variables:
            gene, axis = variable.initial, variable.axis
            model = self.genotype.models[axis.owner] if axis is not None and axis.owner is not None else None
            if axis is not None and model in models:
                gene = float(known[replace(axis, owner=models.index(model))])
            self._check_gene(variable, gene)
            found.append(gene)
        return tuple(found)

    def _check_gene(self, variable: Variable, gene: float) -> None:
        detail = f"{variable.name} is {gene:g}, out of bounds"
        if not variable.holds(gene):
            raise NotInSpaceError("recipe", detail, f"a weight lies between {LOWEST:g} and {HIGHEST:g}")
        if not self.options.allow_negative_weights and gene < 0:
            raise NotInSpaceError("recipe", detail, "set space.allow_negative_weights: true")

    def _reader(self) -> tuple[ParameterSpace, tuple[Parent, ...]]:
        """Returns the parameter space of the same groups, which reads coefficients, and its models."""
        options, apart = self.options, self.method.needs_base
        models = tuple(m for m in self.genotype.models if not apart or m != self.pool.base)
        pool = ParentPool(models, self.pool.base if apart else None, self.pool.layers, self.pool.layer_prefix)
        groups = {"group_size": options.layer_granularity} if options.layer_granularity else {}
        said = ParameterSpaceOptions(
            method=options.method,
            filters=options.filters,
            smooth=options.smooth,
            search=self.genotype.parameters,
            bounds={name: _WIDE[name] for name in self.genotype.parameters},
            fixed={"normalize": options.normalizes},
            **groups,
        )
        return ParameterSpace(said, pool), models

    def _slice(self, values: NDArray[np.float64], layers: tuple[int, int] | None) -> Slice:
        """Returns the slice with values of shape [groups in it, models, filters + 1, parameters]."""
        sources = [
            Source(
                parent=model,
                layers=layers,
                parameters={
                    name: self._parameter(values[:, place, :, p])
                    for p, name in enumerate(self.genotype.parameters)
                },
            )
            for place, model in enumerate(self.genotype.models)
        ]
        if self.method.needs_base:
            # It is read anyway, and its own task vector is zero.
            sources = [source for source in sources if source.parent != self.pool.base] or sources
        return Slice(sources=tuple(sources))

    def _parameter(self, values_GF: NDArray[np.float64]) -> Parameter:  # noqa: N803 - its shape
        found = []
        for part, name in enumerate(self.genotype.filters):
            column = tuple(values_GF[:, part].tolist())
            found.append(Setting(value=column[0] if len(column) == 1 else column, filter=name))
        return tuple(found)


class MergekitSlerpSpace:
    """A rank per group and model: the two highest are mixed, the first of them the more."""

    kind = "mergekit_evolve"
    Options = MergekitEvolveOptions

    def __init__(self, options: MergekitEvolveOptions, pool: ParentPool) -> None:
        self.options, self.pool = options, pool
        self.genotype = Genotype(options, pool)
        _check_parents(self.genotype.models[:2], options, self.genotype.models[0])

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One rank per group and model, in this order."""
        return self.genotype.variables

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe of the models that rank first and second; of equal ones the first listed."""
        ranks = self.genotype.array(genome)[:, :, 0, 0]
        slices = []
        for group, of_group in enumerate(ranks):
            first, second = np.argsort(-of_group, kind="stable")[:2]
            t = 1.0 / (1.0 + math.exp(of_group[first] - of_group[second]))  # softmax over the two
            models = (self.genotype.models[first], self.genotype.models[second])
            sources = tuple(Source(parent=model, layers=self.genotype.layers(group)) for model in models)
            slices.append(Slice(sources=sources, base=models[0], parameters={"t": constant(t)}))
        base = self.pool.base or self.genotype.models[0]
        return _recipe(self.options, base, tuple(slices), {})

    def encode(self, recipe: Recipe) -> Genome:
        """Returns ranks that give the same pairs and positions.

        Raises:
            NotInSpaceError: The recipe is no slerp of pairs of the models in these groups.
        """
        genome = tuple(gene for part in self._parts(recipe) for gene in self._ranks(recipe, part))
        if len(genome) == len(self.variables):
            again = self.decode(genome)
            if isinstance(again, Recipe) and again.slices == self._as_decoded(recipe):
                return genome
        raise NotInSpaceError("recipe", "its layers or models are others", "give the space the same ones")

    def _parts(self, recipe: Recipe) -> Iterator[Slice]:
        if recipe.method != "slerp":
            detail = f"it is a {recipe.method} recipe, the space is slerp"
            raise NotInSpaceError("recipe", detail, "search a space of its own method")
        yield from recipe.slices

    def _ranks(self, recipe: Recipe, part: Slice) -> list[float]:
        base = part.base or recipe.base
        pair = [source.parent for source in part.sources if source.parent in self.genotype.models]
        t = recipe.shared_value("t", part, "", 0.0)
        if len(pair) != 2 or base not in pair or t is None or not 0.0 < t <= 0.5:
            detail = "a slice is no mixture of two of the models, more of its base than of the other"
            raise NotInSpaceError("recipe", detail, "give the space the same models")
        other = next(parent for parent in pair if parent != base)
        lead = max(math.log((1.0 - t) / t), LEAST_LEAD)
        ranks = dict.fromkeys(self.genotype.models, LOWEST)
        ranks |= {base: HIGHEST, other: max(HIGHEST - lead, LOWEST)}
        return list(ranks.values())

    def _as_decoded(self, recipe: Recipe) -> tuple[Slice, ...]:
        """Returns the recipe's slices with the base named and first, and all layers as numbers."""
        found = []
        for part in recipe.slices:
            base = part.base or recipe.base
            sources = sorted(part.sources, key=lambda source: source.parent != base)
            whole = (0, self.pool.layers)
            named = tuple(Source(parent=s.parent, layers=s.layers or whole) for s in sources)
            t = part.parameters.get("t", recipe.parameters.get("t", ()))
            found.append(Slice(sources=named, base=base, parameters={"t": t}))
        return tuple(found)


def _recipe(
    options: MergekitEvolveOptions,
    base: Parent | None,
    slices: tuple[Slice, ...],
    shared: dict[str, Parameter],
) -> Recipe:
    source = options.tokenizer_source
    return Recipe(
        method=options.method,
        slices=slices,
        base=base,
        parameters=shared,
        dtype=options.dtype,
        tokenizer=base if source == "base" else source if isinstance(source, Parent) else None,
        vocabulary="union" if source == "union" else None,
        seed=options.seed,
    )


def _check_parents(models: tuple[Parent, ...], options: MergekitEvolveOptions, base: Parent | None) -> None:
    problems: Iterator[RecipeError] = parent_problems(
        method_named(options.method), models, base, fields=("parents", "base")
    )
    for problem in problems:
        raise problem
