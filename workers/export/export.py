"""An export order, carried out: checkpoint or recipe, converted, and delivered to where it is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workers.errors import ExportError
from workers.export.finished import forget
from workers.export.gguf import convert_to_gguf, find_converter
from workers.export.merge_to_disk import merge_to_disk
from workers.export.object_store import copy_to_store
from workers.export.recipe_folder import write_recipe_folder
from workers.protocol.messages import Announce, Exported, ExportOrder, HubTarget, Progress

if TYPE_CHECKING:
    from workers.checkpoints.hub.early_upload import EarlyUpload


def export(
    order: ExportOrder, progress: Progress | None = None, announce: Announce | None = None
) -> Exported:
    """Writes a recipe's checkpoint, and pushes it to the Hub where that is asked for.

    Raises:
        WorkerError: A parent cannot be read, the merge fails, or nothing can be written or pushed.
    """
    if order.hub is None:
        return _delivered(order, _written(order, progress, announce))
    from workers.checkpoints.hub.early_upload import EarlyUpload  # slow to import, and most merges stay here

    with EarlyUpload(order.hub) as upload:
        return _pushed(order.hub, _written(order, progress, announce, upload), upload)


def _written(
    order: ExportOrder,
    progress: Progress | None,
    announce: Announce | None,
    upload: EarlyUpload | None = None,
) -> Exported:
    """Returns the folder, in the format that is asked for."""
    if order.format == "mergekit":
        return write_recipe_folder(order)
    if order.format == "gguf":
        find_converter()  # before anything is merged
        return convert_to_gguf(merge_to_disk(order, progress, announce))
    return merge_to_disk(order, progress, announce, upload)


def _delivered(order: ExportOrder, exported: Exported) -> Exported:
    """Returns what was written, with its address where it was copied to a store."""
    if order.remote is None:
        return exported
    return copy_to_store(exported, order.remote, replace=order.replace_remote)


def _pushed(target: HubTarget, exported: Exported, upload: EarlyUpload) -> Exported:
    """Returns what was written, with its address on the Hub."""
    from workers.checkpoints.hub.push import push_folder

    folder = Path(exported.folder)
    try:
        pushed = push_folder(folder, target, sent=upload.sent_from(folder))
    except ExportError as error:
        kept = f"the merged model is kept in {folder}, and the same export goes on with its upload"
        raise ExportError(error.field, error.detail, f"{error.remedy}; {kept}") from error
    forget(folder)
    joined = (f"in the collection {pushed.collection}",) if pushed.collection else ()
    said = f"on the Hub it {pushed.plan.text()}"
    return replace(exported, url=pushed.url, notes=(*exported.notes, said, *joined))
