"""What the genes of slots and of spans share: scales as logarithms, and fixed first and last layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from search_spaces.errors import NotInSpaceError, SpaceDefinitionError
from search_spaces.genome import Gene, Genome, Variable
from search_spaces.recipes.settings import canonical_number
from search_spaces.spaces.stacking.layer_path import Hop, Path

_ROUNDING = 1e-7  # relative: recipes keep eight digits of a scale


def check_length(genome: Genome, variables: Sequence[Variable]) -> None:
    """Refuses a genome of another space.

    Raises:
        SpaceDefinitionError: It has more or fewer genes.
    """
    if len(genome) != len(variables):
        detail = f"{len(genome)} genes for {len(variables)} variables"
        raise SpaceDefinitionError("genome", detail, "give one gene per variable")


def names_apart(names: Sequence[str]) -> list[str]:
    """Returns the names, with their numbers where two are the same."""
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


def scale_of(gene: Gene) -> float:
    """Returns the scale whose logarithm a gene is."""
    return canonical_number(math.exp(float(gene)))


def scale_gene(scale: float, bounds: tuple[float, float] | None) -> float:
    """Returns the gene of a scale; `bounds` are those of the logarithm, None where nothing is scaled.

    Raises:
        NotInSpaceError: The scale is out of bounds.
    """
    low, high = bounds or (0.0, 0.0)
    gene = math.log(scale)
    if not low - _ROUNDING <= gene <= high + _ROUNDING:
        remedy = "set space.scales: true" if bounds is None else "widen space.scale_bounds"
        raise NotInSpaceError("recipe", f"an input scale is {scale:g}, out of bounds", remedy)
    return min(max(gene, low), high)


def fixed_path(hops: Sequence[Hop], depth: int, last_scale: float, *, fixed_ends: bool) -> Path:
    """Returns the whole path: the first layer's input is never scaled.

    Args:
        hops: What the genes take.
        depth: The first member's.
        last_scale: Of the fixed last layer.
        fixed_ends: Puts the first member's first and last layers around the hops.
    """
    if fixed_ends:
        return (Hop(0, 0), *hops, Hop(0, depth - 1, last_scale))
    return (replace(hops[0], scale=1.0), *hops[1:]) if hops else ()


def free_part(path: Path, depth: int, *, fixed_ends: bool) -> tuple[Path, float]:
    """Returns what stands between the fixed ends, and the last layer's scale.

    Raises:
        NotInSpaceError: Other layers come first or last.
    """
    if not fixed_ends:
        return path, 1.0
    places = [(hop.member, hop.layer) for hop in path]
    if len(path) < 2 or places[0] != (0, 0) or places[-1] != (0, depth - 1):
        detail = "it does not begin and end with the first member's first and last layers"
        raise NotInSpaceError("recipe", detail, "set space.fixed_ends: false")
    return path[1:-1], path[-1].scale
