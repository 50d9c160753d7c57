"""An export order, carried out: checkpoint or recipe, converted, and delivered to where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workers.errors import ExportError
from workers.export.finished import forget
from workers.export.gguf import convert_to_gguf, find_converter
from workers.export.merge_to_disk import merge_to_disk
from workers.export.object_store import copy_to_store
from workers.export.provenance.signature import check_signing, sign
from workers.export.quantized.copies import check_places, write_copy
from workers.export.quantized.kinds import check_kinds
from workers.export.recipe_folder import write_recipe_folder
from workers.protocol.messages import Announce, Exported, ExportOrder, HubTarget, Progress

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

    from workers.checkpoints.hub.early_upload import EarlyUpload


def export(
    order: ExportOrder, progress: Progress | None = None, announce: Announce | None = None
) -> Exported:
    """Writes a recipe's checkpoint, and pushes it to the Hub where that is asked for.

    Raises:
        WorkerError: A parent cannot be read, the merge fails, or nothing can be written or pushed.
    """
    check_kinds(order.quantize, weights=order.format != "mergekit")
    if order.sign:
        check_signing()
    if order.hub is None:
        check_places(Path(order.folder), order.quantize, replace=order.replace)
        exported = _signed(order, _written(order, progress, announce))
        copies = _copies(order, exported)
        delivered = _delivered(order, exported)
        return _told(delivered, [_copy_delivered(order, kind, copy) for kind, copy in copies.items()])
    from workers.checkpoints.hub.early_upload import EarlyUpload  # slow to import, and most merges stay here

    with EarlyUpload(order.hub) as upload:
        exported = _signed(order, _written(order, progress, announce, upload))
        copies = _copies(order, exported)  # all are made before anything is published
        pushed = _pushed(order.hub, exported, upload.sent_from(Path(exported.folder)))
        told = [_copy_pushed(order.hub, kind, copy) for kind, copy in copies.items()]
        forget(Path(exported.folder))
        return _told(pushed, told)


def _copies(order: ExportOrder, exported: Exported) -> dict[str, Exported]:
    """Returns the quantized copies that are asked for, by kind."""
    whole = order.hub.repository if order.hub is not None else Path(order.folder).name
    made = {kind: write_copy(exported, kind, whole, replace=order.replace) for kind in order.quantize}
    return {kind: _signed(order, copy) for kind, copy in made.items()}


def _signed(order: ExportOrder, exported: Exported) -> Exported:
    return sign(exported) if order.sign else exported


def _copy_delivered(order: ExportOrder, kind: str, copy: Exported) -> Exported:
    if order.remote is None:
        return copy
    return copy_to_store(copy, f"{order.remote.rstrip('/')}-{kind}", replace=order.replace_remote)


def _copy_pushed(target: HubTarget, kind: str, copy: Exported) -> Exported:
    """Returns a copy, with its address in a repository of its own beside the whole model's."""
    own = replace(target, repository=f"{target.repository}-{kind}", tag=None)
    return _pushed(own, copy, {})


def _told(exported: Exported, copies: Sequence[Exported]) -> Exported:
    """Returns a checkpoint with a note about each of its copies."""
    said = [
        f"quantized copy: {copy.url or copy.folder} ({copy.bytes} bytes); {copy.verified}" for copy in copies
    ]
    return replace(exported, notes=(*exported.notes, *said))


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


def _pushed(target: HubTarget, exported: Exported, sent: Mapping[str, CommitOperationAdd]) -> Exported:
    """Returns what was written, with its address on the Hub."""
    from workers.checkpoints.hub.push import push_folder

    folder = Path(exported.folder)
    try:
        pushed = push_folder(folder, target, sent=sent)
    except ExportError as error:
        kept = f"the merged model is kept in {folder}, and the same export goes on with its upload"
        raise ExportError(error.field, error.detail, f"{error.remedy}; {kept}") from error
    joined = (f"in the collection {pushed.collection}",) if pushed.collection else ()
    said = f"on the Hub it {pushed.plan.text()}"
    return replace(exported, url=pushed.url, notes=(*exported.notes, said, *joined))
