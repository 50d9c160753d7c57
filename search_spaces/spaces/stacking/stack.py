"""What all spaces of stacked layers share: the options, the limits, and the way from a path to a recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Annotated, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from search_spaces.errors import NotInSpaceError, SpaceDefinitionError
from search_spaces.genome import Gene, Genome, Variable
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import MOST_LAYERS, DType, Recipe, Slice, Source
from search_spaces.spaces.coefficients import plain_weights
from search_spaces.spaces.space import Infeasible, ParentPool, TemplateOwners
from search_spaces.spaces.stacking.layer_members import MergedLayers, ParentLayers, with_fields
from search_spaces.spaces.stacking.layer_path import Hop, Path, one_by_one, outside, runs_of

Member = ParentLayers | MergedLayers
LARGEST_PRODUCT = 100.0  # of a path's scales: beyond it, norms no longer ignore them


def _read_winner(value: object) -> object:
    """Reads a recipe from mergekit YAML, or from the JSON that an experiment's spec holds.

    A mapping is read as JSON here: from a validator on, pydantic would take it for Python's own values,
    and strictly have no list where the recipe holds a tuple.
    """
    if isinstance(value, str) and "\n" not in value and not value.lstrip().startswith("{"):
        raise ValueError(f"{value!r} is no recipe; write one as mergekit YAML, or leave it out")
    if isinstance(value, str):
        return read_recipe(value)
    if not isinstance(value, dict):
        return value
    try:
        return Recipe.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{where}: {first['msg']}; write the recipe as mergekit YAML") from error


class StackingOptions(BaseModel):
    """What a user says of a space of stacked layers.

    Attributes:
        scales: Every layer's input is scaled by a gene of its own (its logarithm).
        scale_bounds: The range of the scales.
        fixed_ends: The first member's first and last layers stay first and last.
        max_layers: The deepest stack; twice the first member's depth by default (see `deepest`).
        max_parameters: The largest stack, in parameters.
        layers_of: Whose layers are stacked, beside the winner's; all parents' by default.
        winner: A merged model that comes before the parents: the published hybrid (Akiba et al., arXiv
            2403.13187, section 3.3).  A recipe, or its mergekit YAML.
        frozen: Genes that are not searched: name or pattern -> value.
        chat_templates: Whose chat template the merged model takes is searched over: these models', or, for
            `search`, those of all parents that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scales: bool = True
    scale_bounds: tuple[float, float] = (0.5, 2.0)
    fixed_ends: bool = True
    max_layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)] | None = None
    max_parameters: Annotated[int, Field(ge=1)] | None = None
    layers_of: Annotated[tuple[Parent, ...], Field(min_length=1)] | None = None
    winner: Annotated[Recipe | None, BeforeValidator(_read_winner)] = None
    frozen: dict[str, Gene] = {}
    chat_templates: TemplateOwners = ()
    dtype: DType | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @property
    def log_bounds(self) -> tuple[float, float] | None:
        """The range of the scales' logarithms, None where nothing is scaled."""
        return (math.log(self.scale_bounds[0]), math.log(self.scale_bounds[1])) if self.scales else None

    def deepest(self, first: int) -> int:
        """Returns how many layers a stack has at most, where the first member has so many."""
        return self.max_layers or 2 * first


class PathGenes(Protocol):
    """The genes of a path, through the layers of any parent."""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One variable per gene, in order."""
        ...

    def path(self, genome: Genome) -> Path:
        """Returns the path that the genes stand for."""
        ...

    def genome(self, path: Path) -> Genome:
        """Returns genes that stand for a path.

        Raises:
            NotInSpaceError: No genes do.
        """
        ...


def check_options(options: StackingOptions, pool: ParentPool) -> None:
    """Refuses options that hold no stack.

    Raises:
        SpaceDefinitionError: They contradict each other or the parents.
    """
    low, high = options.scale_bounds
    if not (0 < low < high and math.isfinite(high)):
        raise SpaceDefinitionError(
            "space.scale_bounds", f"[{low}, {high}] holds no scales", "write [low, high], both above 0"
        )
    if not low <= 1 <= high:
        detail = f"[{low}, {high}] does not hold 1, where the search begins"
        raise SpaceDefinitionError("space.scale_bounds", detail, "write a range around 1, such as [0.5, 2]")
    known = {*pool.parents, pool.base}
    for parent in options.layers_of or ():
        if parent not in known:
            listed = ", ".join(str(parent) for parent in pool.parents)
            raise SpaceDefinitionError("space.layers_of", f"{parent} is no parent", f"use some of: {listed}")
    if len(set(options.layers_of or ())) < len(options.layers_of or ()):
        raise SpaceDefinitionError("space.layers_of", "a parent stands there twice", "name each once")
    for parent in options.winner.merged_parents if options.winner is not None else ():
        if parent not in known:
            detail = f"it takes {parent}, which is no parent here"
            raise SpaceDefinitionError("space.winner", detail, "add it to the parents")
    if options.max_parameters is not None and not (pool.parameters and pool.layer_parameters):
        raise SpaceDefinitionError(
            "space.max_parameters", "the parents' sizes are not known", "limit max_layers instead"
        )


def check_depth(options: StackingOptions, pool: ParentPool, first: int) -> None:
    """Refuses limits that exclude the first member itself, where the search begins.

    Raises:
        SpaceDefinitionError: Names the limit.
    """
    if options.fixed_ends and first < 2:
        detail = f"{first} layer cannot be first and last"
        raise SpaceDefinitionError("space.fixed_ends", detail, "set fixed_ends: false")
    if options.max_layers is not None and options.max_layers < first:
        detail = f"{options.max_layers} is less than the {first} layers that the search begins with"
        raise SpaceDefinitionError("space.max_layers", detail, f"allow at least {first}")
    size = pool.parameters + (first - pool.layers) * pool.layer_parameters
    if options.max_parameters is not None and options.max_parameters < size:
        detail = f"{options.max_parameters} is less than the {size} parameters that the search begins with"
        raise SpaceDefinitionError("space.max_parameters", detail, f"allow at least {size}")


def members_of(options: StackingOptions, pool: ParentPool) -> tuple[Member, ...]:
    """Returns those whose layers are stacked: the winner, where there is one, then the parents."""
    if options.winner is None:
        return parents_in(options, pool, copied=False)
    merged = MergedLayers(options.winner, pool)
    return merged, *parents_in(options, pool, copied=options.winner.method != "passthrough")


def parents_in(options: StackingOptions, pool: ParentPool, *, copied: bool) -> tuple[ParentLayers, ...]:
    """Returns the parents whose layers are stacked."""
    return tuple(ParentLayers(p, pool.layers, copied=copied) for p in options.layers_of or pool.parents)


class Stack:
    """Recipes of stacked layers, over the members that these are taken from.

    Embeddings, final norm and head are the first member's, whichever layers come first and last.
    """

    def __init__(self, members: Sequence[Member], options: StackingOptions, pool: ParentPool) -> None:
        self.members, self.options, self.pool = tuple(members), options, pool
        first = self.members[0]
        self._merged = first if isinstance(first, MergedLayers) else None

    def recipe(self, path: Path) -> Recipe | Infeasible:
        """Returns the recipe that takes this path."""
        reason = self._beyond_limits(path)
        if reason:
            return Infeasible(reason)
        first = self.members[0]
        if path == tuple(Hop(0, layer) for layer in range(first.depth)):
            return self._as_it_is()
        slices: list[Slice] = []
        for hop, length in runs_of(path):
            found = self.members[hop.member].slices(hop.layer, hop.layer + length)
            slices += (found[0].model_copy(update={"input_scale": hop.scale}), *found[1:])
        head, tail = first.ends
        slices = [*([] if outside(slices[0]) == head else [head]), *slices]
        slices += [] if outside(slices[-1]) == tail else [tail]
        return self._with(tuple(slices))

    def path(self, recipe: Recipe) -> Path:
        """Returns the path that a recipe takes.

        Raises:
            NotInSpaceError: It takes layers that no member has.
        """
        recipe = self._in_own_terms(recipe)
        known: dict[str, list[tuple[int, int]]] = {}
        for number, member in enumerate(self.members):
            pieces = [
                p for part in member.slices(0, member.depth) for p in one_by_one(part, self.pool.layers)
            ]
            for layer, piece in enumerate(pieces):
                known.setdefault(piece.model_dump_json(), []).append((number, layer))
        path: list[Hop] = []
        for part in recipe.slices:
            for offset, piece in enumerate(one_by_one(part, self.pool.layers)):
                places = known.get(piece.model_dump_json())
                if places is None:
                    raise NotInSpaceError(
                        "recipe",
                        f"no parent here has its layer {len(path)}",
                        "give the space the same parents",
                    )
                following = (path[-1].member, path[-1].layer + 1) if path else (0, 0)
                place = following if following in places else places[0]
                path.append(Hop(*place, part.input_scale if offset == 0 else 1.0))
        head, tail = self.members[0].ends
        if outside(recipe.slices[0]) != head or outside(recipe.slices[-1]) != tail:
            detail = f"its embeddings or its head are not those of {self.members[0].label}"
            raise NotInSpaceError("recipe", detail, "put that parent first")
        return tuple(path)

    def _beyond_limits(self, path: Path) -> str:
        """Says which limit a path breaks; nothing where it breaks none."""
        depth, most = len(path), self.options.deepest(self.members[0].depth)
        if not path:
            return "no layer is taken"
        if depth > most:
            return f"{depth} layers, and at most {most} are allowed (max_layers)"
        size = self.pool.parameters + (depth - self.pool.layers) * self.pool.layer_parameters
        if self.options.max_parameters is not None and size > self.options.max_parameters:
            allowed = f"at most {self.options.max_parameters} are allowed (max_parameters)"
            return f"{depth} layers make {size} parameters, and {allowed}"
        products = [*accumulate((hop.scale for hop in path), mul)]
        worst = max(products, key=lambda product: abs(math.log(product)))
        if not 1 / LARGEST_PRODUCT <= worst <= LARGEST_PRODUCT:
            return f"the scales multiply to {worst:.3g}, which a layer's norm would not ignore"
        return ""

    def _as_it_is(self) -> Recipe:
        first = self.members[0]
        if isinstance(first, ParentLayers):
            part = Slice(sources=(Source(parent=first.parent),))
            return self._with_dtype(Recipe(method="passthrough", slices=(part,)))
        return self._with_dtype(first.original)

    def _with(self, slices: tuple[Slice, ...]) -> Recipe:
        if self._merged is None:
            return self._with_dtype(Recipe(method="passthrough", slices=slices))
        return self._with_dtype(with_fields(self._merged.recipe, slices=slices))

    def _with_dtype(self, recipe: Recipe) -> Recipe:
        return recipe if self.options.dtype is None else with_fields(recipe, dtype=self.options.dtype)

    def _in_own_terms(self, recipe: Recipe) -> Recipe:
        """Rewrites a single parent as the layers it has, and copies as copies.

        Raises:
            NotInSpaceError: The recipe mixes parents otherwise than the first member does.
        """
        if recipe.method == "linear" and self._merged is None:
            weights = plain_weights(recipe, self.pool)
            if [weight for weight in weights.values() if weight] != [1.0]:
                raise NotInSpaceError("recipe", "it mixes parents", "search the parameter space")
            (parent,) = (parent for parent, weight in weights.items() if weight)
            return Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=parent),)),))
        if self._merged is None:
            if recipe.method != "passthrough":
                raise NotInSpaceError("recipe", f"it merges by {recipe.method}", "search the parameter space")
            return recipe
        return self._beside_the_merged(recipe, self._merged.recipe)

    def _beside_the_merged(self, recipe: Recipe, merged: Recipe) -> Recipe:
        if recipe.method == "passthrough" and merged.method != "passthrough":
            if recipe.parameters or any(p.parameters or p.sources[0].parameters for p in recipe.slices):
                raise NotInSpaceError("recipe", "it scales weights", "leave its parameters out")
            copies = tuple(part.model_copy(update={"method": "passthrough"}) for part in recipe.slices)
            return with_fields(merged, slices=copies)
        own = MergedLayers(_unscaled(recipe), self.pool).recipe
        if (own.method, own.base, own.parameters) != (merged.method, merged.base, merged.parameters):
            detail = f"it merges by {recipe.method} with other parameters or another base"
            raise NotInSpaceError("recipe", detail, "name this recipe as the winner")
        scales = [part.input_scale for part in recipe.slices]
        slices = tuple(
            part.model_copy(update={"input_scale": scale})
            for part, scale in zip(own.slices, scales, strict=True)
        )
        return with_fields(own, slices=slices)


def _unscaled(recipe: Recipe) -> Recipe:
    plain = tuple(part.model_copy(update={"input_scale": 1.0}) for part in recipe.slices)
    return with_fields(recipe, slices=plain)
