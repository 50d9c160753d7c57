"""Bare parents: candidates that are one of the models as it is, and no merge."""

from __future__ import annotations

from search_spaces import Parent, Recipe, Slice
from service.experiment.candidate import CandidateKind


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
    if recipe.tokens or recipe.tokenizer_owner not in parents:  # other rows, or in another order
        return None
    if recipe.vision is not None:
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


def unbeaten(kind: CandidateKind, label: str | None) -> str | None:
    """Returns what must be said of a winner, None where it is a merge that the search found.

    Args:
        kind: Its kind, which decides.
        label: What it is called.
    """
    if not kind.is_baseline:
        return None
    if kind.is_bare:
        return f"no merge beat {kind} {(label or '').removeprefix(f'{kind}: ')}"
    return f"no merge that the search found beat the baseline {label}"
