"""Merges a recipe to disk: parents are read as needed, nothing but one tensor is in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from search_spaces import Parent, Recipe
from search_spaces.mergekit_yaml import write_recipe
from workers.checkpoint import Contents, Progress, StoredTensor, tokenizer_files, write_checkpoint
from workers.configuration import SAFETENSORS_NAMES, merged_config
from workers.hub import fetch_parent, push_folder
from workers.inspection import inspect_checkpoint
from workers.layout import Layout
from workers.merging.plan import MergePlan, TensorPlan, plan_merge
from workers.merging.stream import merged_tensors
from workers.messages import Exported, ExportOrder
from workers.parents import CheckpointReader

RECIPE_FILE = "mergekit_config.yml"
CARD_FILE = "README.md"


def export(order: ExportOrder, progress: Progress | None = None) -> Exported:
    """Writes a recipe's checkpoint, and pushes it to the Hub where that is asked for.

    Raises:
        WorkerError: A parent cannot be read, the merge fails, or nothing can be written or pushed.
    """
    exported = merge_to_disk(order, progress)
    if order.hub is None:
        return exported
    return replace(exported, url=push_folder(Path(exported.folder), order.hub).url)


def merge_to_disk(order: ExportOrder, progress: Progress | None = None) -> Exported:
    """Writes a recipe's checkpoint into the order's folder; `progress` hears of every tensor.

    Raises:
        WorkerError: A parent cannot be read, the merge fails, or nothing can be written.
    """
    layouts = find_parents(order.recipe)
    plan = plan_merge(order.recipe, layouts)
    contents = Contents(
        config=merged_config(plan.owner, order.recipe, layouts),
        tensors=stored_tensors(plan, layouts),
        copied=tokenizer_files(plan.owner.folder),
        texts={
            RECIPE_FILE: write_recipe(order.recipe),
            **({CARD_FILE: order.card} if order.card else {}),
            **order.extra_files,
        },
        shard_bytes=order.shard_bytes,
    )
    with CheckpointReader(layouts) as parents:
        tensors = merged_tensors(plan, parents.read)
        return write_checkpoint(
            contents, tensors, Path(order.folder), replace=order.replace, progress=progress
        )


def find_parents(recipe: Recipe) -> dict[Parent, Layout]:
    """Returns the layouts of all checkpoints that a recipe needs, downloaded where they must be.

    Raises:
        CheckpointError: One is missing or broken.
    """
    needed = dict.fromkeys((*recipe.all_parents, recipe.tokenizer_owner))
    return {parent: inspect_checkpoint(parent, fetch_parent(parent)) for parent in needed}


def stored_tensors(plan: MergePlan, layouts: Mapping[Parent, Layout]) -> list[StoredTensor]:
    """Returns the names, shapes and types that a plan's tensors will have."""
    return [StoredTensor(tensor.name, tensor.shape, _dtype(tensor, layouts)) for tensor in plan.tensors]


def _dtype(tensor: TensorPlan, layouts: Mapping[Parent, Layout]) -> str:
    if tensor.out_dtype is not None:
        return SAFETENSORS_NAMES[tensor.out_dtype]
    source = tensor.inputs[0]  # copied as it is
    return layouts[source.parent].tensors[source.tensor].dtype
