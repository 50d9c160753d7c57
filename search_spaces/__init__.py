"""What can be tried: recipes, genomes and the spaces between them.

Pure: no torch, no files, no network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from search_spaces.errors import SpaceDefinitionError, UnknownNameError
from search_spaces.genome import Genome, Variable
from search_spaces.recipes.eyes import Eyes
from search_spaces.recipes.heads import Heads
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice, Source
from search_spaces.spaces.frozen import FrozenSpace
from search_spaces.spaces.headed import HeadedSpace
from search_spaces.spaces.joint import JointOptions, JointSpace
from search_spaces.spaces.mergekit_evolve import mergekit_evolve_space
from search_spaces.spaces.mergekit_genotype import MergekitEvolveOptions
from search_spaces.spaces.method_choice import MethodChoiceSpace
from search_spaces.spaces.parameter_space import ParameterSpace, ParameterSpaceOptions
from search_spaces.spaces.seeing import SeeingSpace
from search_spaces.spaces.space import Infeasible, ParentPool, SearchSpace
from search_spaces.spaces.stacking.layer_stacking import LayerStackingOptions, LayerStackingSpace
from search_spaces.spaces.stacking.structured_stacking import (
    StructuredStackingOptions,
    StructuredStackingSpace,
)
from search_spaces.spaces.template_choice import TemplateChoiceSpace

__all__ = [
    "SPACES",
    "Eyes",
    "FrozenSpace",
    "Genome",
    "HeadedSpace",
    "Heads",
    "Infeasible",
    "JointOptions",
    "LayerStackingOptions",
    "MergekitEvolveOptions",
    "MethodChoiceSpace",
    "ParameterSpace",
    "ParameterSpaceOptions",
    "Parent",
    "ParentPool",
    "Recipe",
    "SearchSpace",
    "SeeingSpace",
    "Slice",
    "Source",
    "SpaceDefinitionError",
    "SpaceOptions",
    "StructuredStackingOptions",
    "UnknownNameError",
    "Variable",
    "build_space",
]


def parameter_space(options: ParameterSpaceOptions, pool: ParentPool) -> ParameterSpace | MethodChoiceSpace:
    """Returns the parameter space of one method, or of several."""
    return (ParameterSpace if options.methods is None else MethodChoiceSpace)(options, pool)


SPACES: Mapping[str, Callable[[Any, ParentPool], SearchSpace]] = {
    "parameter": parameter_space,
    "layer_stacking": LayerStackingSpace,
    "structured_stacking": StructuredStackingSpace,
    "joint": JointSpace,
    "mergekit_evolve": mergekit_evolve_space,
}


_OPTIONS = (
    ParameterSpaceOptions,
    LayerStackingOptions,
    StructuredStackingOptions,
    JointOptions,
    MergekitEvolveOptions,
)


def _options_for(value: object) -> str:
    """Names the options that a mapping is meant as: a parameter space's where it says no kind."""
    kind = value.get("kind", "parameter") if isinstance(value, Mapping) else getattr(value, "kind", None)
    fitting = (options for options in _OPTIONS if options.model_fields["kind"].default == kind)
    return next((options.__name__ for options in fitting), str(kind))


SpaceOptions = Annotated[
    Annotated[ParameterSpaceOptions, Tag("ParameterSpaceOptions")]
    | Annotated[LayerStackingOptions, Tag("LayerStackingOptions")]
    | Annotated[StructuredStackingOptions, Tag("StructuredStackingOptions")]
    | Annotated[JointOptions, Tag("JointOptions")]
    | Annotated[MergekitEvolveOptions, Tag("MergekitEvolveOptions")],
    Discriminator(
        _options_for,
        custom_error_type="unknown_name",
        custom_error_message=f"unknown kind of space; use one of: {', '.join(SPACES)}",
    ),
]


def build_space(options: SpaceOptions, pool: ParentPool) -> SearchSpace:
    """Returns the space that the options describe, over these parents.

    Raises:
        SpaceError: The options hold no recipe over this pool.
    """
    space = SPACES[options.kind](options, pool)
    if options.chat_templates:
        everyone = (*pool.parents, *((pool.base,) if pool.base is not None else ()))
        chosen = everyone if options.chat_templates == "search" else options.chat_templates
        space = TemplateChoiceSpace(space, chosen, pool)
    return FrozenSpace(space, options.frozen) if options.frozen else space
