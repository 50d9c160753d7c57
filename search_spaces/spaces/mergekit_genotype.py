"""The genotype of mergekit-evolve: what its file says, and what its numbers mean.

A genotype is an array of shape [groups, models, filters + 1, parameters], laid out row by row.  The
parameters are `weight`, for TIES and DARE-TIES `weight` and `density`, and for slerp a rank.  It has no
bounds there: what is out of a parameter's range is folded into it.  Here a gene has bounds that a run
hardly meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from search_spaces.errors import SpaceDefinitionError
from search_spaces.genome import Axis, Gene, Genome, Real
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import DType
from search_spaces.spaces.space import ParentPool, TemplateOwners
from search_spaces.spaces.stacking.path_genes import check_length, names_apart

LOWEST, HIGHEST = -2.0, 3.0  # of a gene: the start, between 0 and 1, lies in the middle
GENE_SPAN = HIGHEST - LOWEST

GenotypeMethod = Literal["linear", "task_arithmetic", "ties", "dare_ties", "slerp"]
PARAMETERS: dict[GenotypeMethod, tuple[str, ...]] = {
    "linear": ("weight",),
    "task_arithmetic": ("weight",),
    "ties": ("weight", "density"),
    "dare_ties": ("weight", "density"),
    "slerp": ("t",),
}
"""What each model has a gene for, in each group and for each filter."""


class MergekitEvolveOptions(BaseModel):
    """What the `genome:` of a mergekit-evolve file says, beside its models.

    Attributes:
        base_position: The base's place among the models, where it is one of them; None where it is not.
        layer_granularity: Layers per group, a divisor of the depth; 0 puts all layers into one group.
        normalize: Divides by the sum of the weights; None does so for linear, TIES and DARE-TIES.
        allow_negative_weights: Takes a weight as it is; without it, its absolute value.
        filters: Parts of tensor names with genes of their own inside each group.
        smooth: Interpolates over depth between the groups instead of stepping.
        tokenizer_source: `base`, `union`, or one of the models; None takes the one that all share.
        random_init: Begins at a genotype drawn from [0, 1) by the seed, instead of at the average.
        frozen: Genes that are not searched: name or pattern -> value.
        chat_templates: Whose chat template the merged model takes is searched over: these models', or, for
            `search`, those of all parents that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mergekit_evolve"] = "mergekit_evolve"
    method: GenotypeMethod
    base_position: Annotated[int, Field(ge=0, le=1000)] | None = None
    layer_granularity: Annotated[int, Field(ge=0, le=1000)] = 0
    normalize: bool | None = None
    allow_negative_weights: bool = False
    filters: tuple[str, ...] = ()
    smooth: bool = False
    tokenizer_source: Literal["base", "union"] | Parent | None = None
    random_init: bool = False
    frozen: dict[str, Gene] = {}
    chat_templates: TemplateOwners = ()
    dtype: DType | None = "bfloat16"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @property
    def normalizes(self) -> bool:
        """Says whether the weights are divided by their sum."""
        by_default = self.method in ("linear", "ties", "dare_ties")
        return by_default if self.normalize is None else self.normalize


class Genotype:
    """The genes of one file over one pool of parents.

    Attributes:
        models: The parents, the base among them where the file lists it.
        filters: Those of the file, then None: the rest of each group.
        groups: How many runs of layers there are.
    """

    def __init__(self, options: MergekitEvolveOptions, pool: ParentPool) -> None:
        """Lays out the genes.

        Raises:
            SpaceDefinitionError: The options contradict each other, or the parents.
        """
        self.options = options
        self.models = models_of(options, pool)
        _check(options, pool)
        self.filters = (*options.filters, None)
        self.layers_each = options.layer_granularity or pool.layers
        self.groups = pool.layers // self.layers_each
        self.parameters = PARAMETERS[options.method]
        self.variables = tuple(self._variables())

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Groups, models, filters + 1, parameters."""
        return self.groups, len(self.models), len(self.filters), len(self.parameters)

    def array(self, genome: Genome) -> NDArray[np.float64]:
        """Returns the genotype with every value in its parameter's range, in its shape."""
        check_length(genome, self.variables)
        values = np.array(genome, dtype=np.float64).reshape(self.shape)
        if self.options.method == "slerp":
            return values
        if not self.options.allow_negative_weights:
            values[..., 0] = np.abs(values[..., 0])
        values[..., 1:] = np.clip(np.abs(values[..., 1:]), 0.0, 1.0)
        return values

    def layers(self, group: int) -> tuple[int, int]:
        """Returns the group's layers, the end not included."""
        return group * self.layers_each, (group + 1) * self.layers_each

    def _variables(self) -> list[Real]:
        labels = names_apart([parent.model.rstrip("/").rsplit("/", 1)[-1] for parent in self.models])
        start = self._start()
        found = []
        for place in np.ndindex(self.shape):
            group, model, part, parameter = place
            where = f"group {group}" + (f", {self.filters[part]}" if self.filters[part] is not None else "")
            word = self.parameters[parameter] if self.options.method != "slerp" else "rank"
            axis = Axis(word, model, group * len(self.filters) + part)
            name = f"{word} of {labels[model]} ({where})"
            found.append(Real(name, LOWEST, HIGHEST, float(start[place]), axis))
        return found

    def _start(self) -> NDArray[np.float64]:
        if self.options.random_init:
            return np.random.default_rng(self.options.seed).random(self.shape)
        start = np.ones(self.shape)
        start[..., 0] = 1.0 / len(self.models)
        return start


def models_of(options: MergekitEvolveOptions, pool: ParentPool) -> tuple[Parent, ...]:
    """Returns the models that have genes, in the file's order.

    Raises:
        SpaceDefinitionError: The base is said to stand where it cannot.
    """
    place, models = options.base_position, list(pool.parents)
    if place is None:
        return tuple(models)
    if pool.base is None or place > len(models):
        detail = "there is no base" if pool.base is None else f"there are {len(models) + 1} models"
        raise SpaceDefinitionError("space.base_position", f"{place}, and {detail}", "leave it out")
    models.insert(place, pool.base)
    return tuple(models)


def _check(options: MergekitEvolveOptions, pool: ParentPool) -> None:
    each, layers = options.layer_granularity, pool.layers
    if each and layers % each:
        near = ", ".join(str(n) for n in _divisors(layers))
        detail = f"groups of {each} layers, of which {layers} are no multiple"
        raise SpaceDefinitionError(
            "space.layer_granularity", detail, f"use one of: {near}, or 0 for one group"
        )
    _check_filters(options.filters)
    if options.method == "slerp" and (options.smooth or options.filters):
        field = "smooth" if options.smooth else "filters"
        remedy = "leave it out, or take another method"
        raise SpaceDefinitionError(f"space.{field}", f"slerp is not searched with {field}", remedy)
    outside = pool.base is not None and options.base_position is None
    if outside and options.method in ("linear", "slerp"):
        detail = f"{options.method} has no place for {pool.base}, a base that is none of the models"
        raise SpaceDefinitionError("base", detail, "list it among the models, or leave it out")
    if options.tokenizer_source == "base" and pool.base is None:
        detail = "base is asked for and there is no base"
        raise SpaceDefinitionError("space.tokenizer_source", detail, "name one of the models, or union")
    named = options.tokenizer_source
    if isinstance(named, Parent) and named not in (*pool.parents, pool.base):
        detail = f"{named} is none of the models"
        raise SpaceDefinitionError("space.tokenizer_source", detail, "name one of them, base or union")


def _check_filters(filters: Sequence[str]) -> None:
    for name in filters:
        if not name or filters.count(name) > 1:
            detail = "an empty filter" if not name else f"{name!r} stands there twice"
            raise SpaceDefinitionError("space.filters", detail, "write each part of a name once")


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, min(number, 64) + 1) if number % n == 0]
