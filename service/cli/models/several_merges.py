"""Where the models of a file with several recipes go, and which of them are made already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeFileError
from search_spaces.recipes.mergekit.recipe_file import NamedMerge, final_merges
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.renamed_parents import with_parents

INTERMEDIATE = ".merges"  # behind the name of the final model's folder
RECIPE_FILE = "mergekit_config.yml"


@dataclass(frozen=True, slots=True)
class MergeStep:
    """One merge of several, with the folder it goes to.

    Attributes:
        is_final: No other merge takes its model.
    """

    name: str | None
    recipe: Recipe
    folder: Path
    is_final: bool

    @property
    def is_made(self) -> bool:
        """Says whether a complete checkpoint of the same recipe is there."""
        try:
            text = (self.folder / RECIPE_FILE).read_text(encoding="utf-8")
            return (self.folder / "config.json").is_file() and read_recipe(text).digest == self.recipe.digest
        except (OSError, UnicodeDecodeError, RecipeFileError):
            return False


def steps_to(merges: Sequence[NamedMerge], out: Path, intermediate: Path | None = None) -> list[MergeStep]:
    """Returns what to make, in order: the final merge in `out`, the others beside it.

    Of several final merges each gets a folder in `out`, which its name names.
    """
    finals = final_merges(merges)
    beside = intermediate or out.parent / f"{out.name}{INTERMEDIATE}"
    folders: dict[str | None, Path] = {}
    for merge in merges:
        folders[merge.name] = beside / str(merge.name)
    for merge in finals:
        folders[merge.name] = out if len(finals) == 1 else out / (merge.name or "unnamed")
    return [
        MergeStep(merge.name, _over(merge.recipe, folders), folders[merge.name], merge in finals)
        for merge in merges
    ]


def inspected_as(merges: Sequence[NamedMerge]) -> list[tuple[NamedMerge, bool]]:
    """Returns the merges over models that exist, for a look at their parents.

    A model that another merge makes is replaced by the one whose configuration it takes, which has the same
    shape unless the merge changes the number of layers; then it says False, and the merge is left as it is.
    """
    owners: dict[str | None, Parent | None] = {}
    found = []
    for merge in merges:
        known = [owners.get(name) for name in merge.takes]
        plain = None not in known
        recipe = with_parents(merge.recipe, lambda p: owners.get(p.model) or p) if plain else merge.recipe
        whole = len(recipe.slices) == 1 and all(s.layers is None for s in recipe.slices[0].sources)
        owners[merge.name] = recipe.tokenizer_owner if plain and whole else None
        found.append((replace(merge, recipe=recipe) if plain else merge, plain))
    return found


def _over(recipe: Recipe, folders: Mapping[str | None, Path]) -> Recipe:
    """Returns the recipe over the folders that other merges write."""

    def in_folder(parent: Parent) -> Parent:
        folder = folders.get(parent.model)
        return (
            parent if folder is None else parent.model_copy(update={"model": str(folder), "revision": None})
        )

    return with_parents(recipe, in_folder)
