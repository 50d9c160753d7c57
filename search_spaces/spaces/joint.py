"""Both at once: how the parents are mixed, and which layers of the mixture and the parents are stacked.

The genome is a parameter space's, then a stack's.  The first member of the stack is the merged model
that the first part describes; the parents as they are come after it.  What comes out is one flat
recipe over the original parents: merged layers are slices of its method, the others are copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.errors import NotInSpaceError, SpaceDefinitionError
from search_spaces.genome import Gene, Genome, Variable, initial_genome
from search_spaces.recipes.recipe import DType, Recipe, Slice
from search_spaces.spaces.coefficients import with_layers_named
from search_spaces.spaces.parameter_space import ParameterSpace, ParameterSpaceOptions
from search_spaces.spaces.space import Infeasible, ParentPool, TemplateOwners
from search_spaces.spaces.stacking.layer_members import MergedLayers, with_fields
from search_spaces.spaces.stacking.layer_path import between, one_by_one, outside
from search_spaces.spaces.stacking.layer_stacking import LayerStackingOptions, SlotGenes
from search_spaces.spaces.stacking.stack import PathGenes, Stack, check_depth, check_options, parents_in
from search_spaces.spaces.stacking.structured_stacking import SpanGenes, StructuredStackingOptions

_OWN = ("dtype", "seed", "frozen", "chat_templates")  # said once, of the whole


class JointOptions(BaseModel):
    """What a user says of a joint space.

    Attributes:
        parameter: How the parents are mixed.  `smooth` and `methods` are not to be had here.
        stacking: How layers are stacked; `winner` is the mixture, and is not given.
        stack_parents: Stacks the parents' own layers too, not only the mixture's.
        frozen: Genes that are not searched: name or pattern -> value.
        chat_templates: Whose chat template the merged model takes is searched over: these models', or, for
            `search`, those of all parents that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["joint"] = "joint"
    parameter: ParameterSpaceOptions = ParameterSpaceOptions()
    stacking: Annotated[LayerStackingOptions | StructuredStackingOptions, Field(discriminator="kind")] = (
        StructuredStackingOptions()
    )
    stack_parents: bool = True
    frozen: dict[str, Gene] = {}
    chat_templates: TemplateOwners = ()
    dtype: DType | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class JointSpace:
    """A parameter space and a stack over its models and the parents."""

    kind = "joint"
    Options = JointOptions

    def __init__(self, options: JointOptions, pool: ParentPool) -> None:
        self.options, self.pool = options, pool
        _check(options)
        own = {"dtype": options.dtype, "seed": options.seed}
        self._parameter = ParameterSpace(options.parameter.model_copy(update=own), pool)
        self._stacking = options.stacking.model_copy(update={"dtype": options.dtype})
        check_options(self._stacking, pool)
        check_depth(self._stacking, pool, pool.layers)
        copied = self._parameter.method.name != "passthrough"
        self._parents = parents_in(self._stacking, pool, copied=copied) if options.stack_parents else ()
        members = [(MergedLayers.label, pool.layers), *((p.label, p.depth) for p in self._parents)]
        stacking = self._stacking
        self._genes: PathGenes = (
            SlotGenes(stacking, members)
            if isinstance(stacking, LayerStackingOptions)
            else SpanGenes(stacking, members)
        )

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The parameter space's, then the stack's."""
        return (*self._parameter.variables, *self._genes.variables)

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe that stacks layers of the mixture and the parents."""
        if len(genome) != len(self.variables):
            detail = f"{len(genome)} genes for {len(self.variables)} variables"
            raise SpaceDefinitionError("genome", detail, "give one gene per variable")
        count = len(self._parameter.variables)
        merged = self._parameter.decode(genome[:count])
        if isinstance(merged, Infeasible):
            return merged
        return self._stack(merged).recipe(self._genes.path(genome[count:]))

    def encode(self, recipe: Recipe) -> Genome:
        """Returns a genome of the recipe's mixture and of its path through layers.

        Raises:
            NotInSpaceError: The mixture or the path is not in this space.
        """
        weights = self._parameter.encode(self._mixture(recipe))
        merged = self._parameter.decode(weights)
        if isinstance(merged, Infeasible):
            raise NotInSpaceError("recipe", merged.reason, "mix the parents otherwise")
        stack = self._stack(merged)
        whole = not any(part.method is not None or part.input_scale != 1.0 for part in recipe.slices)
        if whole and self._depth(recipe) == self.pool.layers and self._in_order(recipe):
            return (*weights, *initial_path(self._genes))
        return (*weights, *self._genes.genome(stack.path(recipe)))

    def _stack(self, merged: Recipe) -> Stack:
        return Stack((MergedLayers(merged, self.pool), *self._parents), self._stacking, self.pool)

    def _mixture(self, recipe: Recipe) -> Recipe:
        """Returns the whole model whose layers are stacked; what is not used is as its neighbour."""
        recipe = with_layers_named(recipe, self.pool.layers)
        if self._in_order(recipe) and self._depth(recipe) == self.pool.layers:
            return recipe
        known: dict[int, Slice] = {}
        for part in recipe.slices:
            for piece in one_by_one(part, self.pool.layers) if part.method is None else ():
                span = piece.sources[0].layers or (0, 1)
                if known.setdefault(span[0], piece) != piece:
                    raise NotInSpaceError(
                        "recipe", f"it mixes layer {span[0]} in two ways", "mix a layer in one way"
                    )
        # The embeddings are made as the mixture's first layers are, its head as the last.
        for layer, part in ((0, recipe.slices[0]), (self.pool.layers - 1, recipe.slices[-1])):
            if part.method is None:
                known.setdefault(layer, between(outside(part), layer, layer + 1))
        if not known:
            raise NotInSpaceError("recipe", "it mixes no layer", f"mix one, by {self._parameter.method.name}")
        return with_fields(recipe, slices=tuple(_filled(known, self._parameter.edges)))

    def _depth(self, recipe: Recipe) -> int:
        spans = [part.sources[0].layers or (0, self.pool.layers) for part in recipe.slices]
        return sum(end - start for start, end in spans)

    def _in_order(self, recipe: Recipe) -> bool:
        """Says whether the recipe is a mixture of whole models."""
        next_layer = 0
        for part in recipe.slices:
            if part.method is not None or part.input_scale != 1.0:
                return False
            spans = {source.layers or (0, self.pool.layers) for source in part.sources}
            start, end = next(iter(spans))
            if len(spans) > 1 or start != next_layer:
                return False
            next_layer = end
        return True


def initial_path(genes: PathGenes) -> Genome:
    """Returns the genes that take the first member as it is."""
    return initial_genome(genes.variables)


def _filled(known: Mapping[int, Slice], edges: Sequence[int]) -> Iterator[Slice]:
    """Yields a slice per layer; unknown ones are made as others of their group, or near it."""
    for start, end in pairwise(edges):
        for layer in range(start, end):
            nearest = min(known, key=lambda other: (not start <= other < end, abs(other - start), other))
            away = layer - nearest
            yield known[layer] if layer in known else between(known[nearest], away, away + 1)


def _check(options: JointOptions) -> None:
    """Refuses what the parts say and the whole must say, or what a stack cannot cut.

    Raises:
        SpaceDefinitionError: Names the option.
    """
    for name, part in (("parameter", options.parameter), ("stacking", options.stacking)):
        for key in _OWN:
            if getattr(part, key) != type(part).model_fields[key].default:
                field = f"space.{name}.{key}"
                raise SpaceDefinitionError(field, "it is said of a part", f"write it as space.{key}")
    if options.parameter.methods is not None:
        detail = f"{', '.join(options.parameter.methods)} would each need a stack of their own"
        raise SpaceDefinitionError("space.parameter.methods", detail, "name one method (parameter.method)")
    if options.parameter.smooth:
        detail = "a gradient runs through layers that a stack takes apart"
        raise SpaceDefinitionError("space.parameter.smooth", detail, "use layer_groups without smooth")
    if options.stacking.winner is not None:
        detail = "the mixture is what is stacked"
        raise SpaceDefinitionError("space.stacking.winner", detail, "leave it out")
    if not options.stack_parents and options.stacking.layers_of is not None:
        detail = "whose layers are stacked is said, and stack_parents is off"
        raise SpaceDefinitionError("space.stacking.layers_of", detail, "leave one of the two out")
