"""Bare parents: candidates that are one of the models as it is, and no merge."""

from __future__ import annotations

from search_spaces import Parent, Recipe, Slice
from service.experiment.findings import is_baseline

_KINDS = ("parent", "base")  # of baselines that are a model as it is: `parent: left`


def bare_parent(recipe: Recipe, layers: int) -> Parent | None:
    """Returns the parent that a recipe copies whole, None where it makes another model.

    Args:
        recipe: Of the candidate.
        layers: How many layers a parent has.
    """
    sources = [source for part in recipe.slices for source in part.sources]
    parents = {source.parent for source in sources}
    if len(parents) != 1 or len(sources) != len(recipe.slices) or recipe.has_scales:
        return None
    if not all(_copies(recipe, part) for part in recipe.slices):
        return None
    ranges = [source.layers or (0, layers) for source in sources]
    taken = [layer for start, end in ranges for layer in range(start, end)]
    return parents.pop() if taken == list(range(layers)) else None


def _copies(recipe: Recipe, part: Slice) -> bool:
    """Says whether a slice of one source is that source."""
    if part.base not in (None, part.sources[0].parent) or recipe.base not in (None, part.sources[0].parent):
        return False
    given = (*recipe.parameters.items(), *part.parameters.items(), *part.sources[0].parameters.items())
    if "passthrough" in (recipe.method, part.method):
        return not given
    weights = [setting.value for name, settings in given for setting in settings if name == "weight"]
    return recipe.method == "linear" and all(weight == 1.0 for weight in weights)


def unbeaten(label: str | None) -> str | None:
    """Returns what must be said of a winner of this label, None where it is a merge that the search found."""
    if label is None or not is_baseline(label):
        return None
    if is_bare(label):
        kind, _, name = label.partition(": ")
        return f"no merge beat {kind} {name}"
    return f"no merge that the search found beat the baseline {label}"


def is_bare(label: str | None) -> bool:
    """Says whether a baseline of this label is a model as it is."""
    return label is not None and label.startswith(tuple(f"{kind}: " for kind in _KINDS))
