"""merge: a recipe becomes a checkpoint folder, in this process and without a service."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from search_spaces.recipes.recipe import Recipe
from workers.pools.actor import merge_here
from workers.protocol.messages import Exported, ExportOrder


def merge(
    recipe: Recipe,
    folder: str | PathLike[str],
    *,
    device: str = "cpu",
    memory_limit: int | None = None,
    replace: bool = False,
    restart: bool = False,
) -> Exported:
    """Merges a recipe's parents into a new checkpoint folder.

    The folder appears when it is complete.  A merge that was killed goes on where it stopped when it is
    called again with the same arguments.

    Args:
        recipe: What to merge; `read_recipe` makes one of mergekit YAML.  Relative paths of parents are
            taken from the working directory.
        folder: Where the checkpoint shall lie.
        device: `cpu`, `cuda`, `cuda:1` or `auto` (the first GPU, where there is one).
        memory_limit: Bytes that this process may have resident; None sets no limit.
        replace: Replace a folder that exists.
        restart: Begin anew where the same merge was killed before.

    Returns:
        The folder, its files and bytes, and the checkpoint's digest.

    Raises:
        WorkerError: A parent cannot be read, the parents do not fit each other, or nothing can be written.
    """
    order = ExportOrder(
        recipe=recipe,
        folder=str(Path(folder).expanduser().absolute()),
        device=device,
        memory_limit=memory_limit,
        replace=replace,
        restart=restart,
    )
    return merge_here(order)
