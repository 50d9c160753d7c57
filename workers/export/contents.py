"""What the folder of an export will hold: texts in every format, and a checkpoint's tensors and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from search_spaces import Parent
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.companions import companions_of
from workers.checkpoints.layout import Layout
from workers.checkpoints.number_formats import SAFETENSORS_NAMES
from workers.checkpoints.writing.checkpoint import Contents, StoredTensor
from workers.compatibility.fitting import FittedParents
from workers.errors import ExportError
from workers.merging.plan import MergePlan, TensorPlan
from workers.protocol.messages import ExportOrder

RECIPE_FILE = "mergekit_config.yml"
CARD_FILE = "README.md"


def texts_of(order: ExportOrder) -> dict[str, str | bytes]:
    """Returns an order's recipe, card, further files and pictures, by their names in the folder.

    Raises:
        ExportError: A further file would not lie in the folder itself.
    """
    _check_names((*order.extra_files, *order.pictures))
    return {
        RECIPE_FILE: write_recipe(order.recipe),
        **({CARD_FILE: order.card} if order.card else {}),
        **order.extra_files,
        **order.pictures,
    }


def contents_of(
    order: ExportOrder, texts: Mapping[str, str | bytes], plan: MergePlan, fitted: FittedParents
) -> Contents:
    """Returns what a merged checkpoint's folder will hold."""
    return Contents(
        config=merged_config(plan.owner, order.recipe, fitted.layouts),
        tensors=_stored_tensors(plan, fitted.layouts),
        copied=fitted.tokenizer.kept_of(companions_of(plan.owner.folder)),
        texts={**fitted.tokenizer.texts, **texts},
        shard_bytes=order.shard_bytes,
    )


def _check_names(files: Iterable[str]) -> None:
    for name in files:
        if not name.isprintable() or name in ("", ".", "..") or "/" in name:
            raise ExportError(repr(name), "is no file name", "write a name without slashes")


def _stored_tensors(plan: MergePlan, layouts: Mapping[Parent, Layout]) -> list[StoredTensor]:
    """Returns the names, shapes and types that a plan's tensors will have."""
    return [StoredTensor(tensor.name, tensor.shape, _dtype(tensor, layouts)) for tensor in plan.tensors]


def _dtype(tensor: TensorPlan, layouts: Mapping[Parent, Layout]) -> str:
    if tensor.out_dtype is not None:
        return SAFETENSORS_NAMES[tensor.out_dtype]
    source = tensor.inputs[0]  # copied as it is
    return layouts[source.parent].tensors[source.tensor].dtype
