"""Merges a recipe to disk: parents are read as needed, one tensor or some of its rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workers.checkpoints.verification.loading_check import check_loads, get_ready
from workers.checkpoints.writing.checkpoint import continue_checkpoint
from workers.export.contents import CARD_FILE
from workers.export.finished import FinishedFolder
from workers.export.preparation import PreparedMerge, prepare_merge
from workers.export.provenance.content_hashes import ContentHashes
from workers.export.provenance.lock_file import write_lock
from workers.export.rescoring.rescoring import Rescoring
from workers.export.tensor_stream import TensorStream, open_stream
from workers.merging.device import device_named
from workers.protocol.card_marks import filled_in
from workers.protocol.messages import Announce, Exported, ExportOrder, Progress

if TYPE_CHECKING:
    from workers.checkpoints.hub.early_upload import EarlyUpload


def merge_to_disk(
    order: ExportOrder,
    progress: Progress | None = None,
    announce: Announce | None = None,
    upload: EarlyUpload | None = None,
) -> Exported:
    """Writes a recipe's checkpoint into the order's folder.

    Where an earlier process was killed at the same order, its tensors are kept.  Where the same order
    was finished and only its upload failed, its folder is used.

    Args:
        order: What to write.
        progress: Called for every tensor that is on the disk.
        announce: Told the bytes of all tensors first.
        upload: Sends every file of weights that is complete, beside the merge.

    Raises:
        WorkerError: A parent cannot be read, the merge fails, nothing can be written, transformers does
            not load what was written, or the memory limit is too low.
    """
    device = device_named(order.device)
    prepared = prepare_merge(order)
    finished = FinishedFolder.of(prepared.folder, f"{prepared.key} {order.verify}", prepared.contents)
    if order.hub is not None and not order.restart and (found := finished.find()) is not None:
        return replace(found, notes=prepared.notes)
    digests: dict[str, str] = {}
    exported = _write(prepared, device, progress, announce, upload, digests)
    if order.hub is not None:
        finished.note(exported, digests)
    return replace(exported, notes=prepared.notes)


def _write(
    prepared: PreparedMerge,
    device: torch.device,
    progress: Progress | None,
    announce: Announce | None,
    upload: EarlyUpload | None,
    digests: dict[str, str],
) -> Exported:
    """Writes the checkpoint, with its lock, and verifies it before it gets its name; fills in `digests`."""
    order, contents = prepared.order, prepared.contents

    def complete(folder: Path, known: Mapping[str, str]) -> None:
        digests.update(known)
        write_lock(folder, prepared.locked, hashes, known)

    with (
        ContentHashes(prepared.stored) as hashes,
        Rescoring(order.answers if order.verify else None, order.folder) as rescoring,
        open_stream(prepared.plan, prepared.stored, prepared.fitted, order.memory_limit, device) as stream,
    ):
        if order.verify:
            get_ready()  # it takes seconds, and goes on beside the merge
        if announce is not None:
            announce(sum(tensor.bytes for tensor in contents.tensors))
        return continue_checkpoint(
            replace(contents, queued=stream.queued),
            partial(_tensors_from, prepared, stream),
            prepared.folder,
            key=prepared.key,
            restart=order.restart,
            replace=order.replace,
            progress=progress,
            check=partial(_check, prepared, rescoring, upload),
            finished=None if upload is None else upload.offer,
            complete=complete,
        )


def _tensors_from(prepared: PreparedMerge, stream: TensorStream, number: int) -> Iterator[tuple[str, Tensor]]:
    yield from stream.tensors_from(number)
    prepared.files.check_unchanged()


def _check(prepared: PreparedMerge, rescoring: Rescoring, upload: EarlyUpload | None, folder: Path) -> str:
    """Verifies a written checkpoint, and waits for what is being sent of it: its folder is renamed next."""
    verified = _verify(prepared, rescoring, folder) if prepared.order.verify else ""
    if upload is not None:
        upload.wait()
    return verified


def _verify(prepared: PreparedMerge, rescoring: Rescoring, folder: Path) -> str:
    """Returns, in a sentence, how a written checkpoint was verified, and writes it into its card."""
    order = prepared.order
    loaded = check_loads(folder, order.folder, owner=prepared.plan.owner.folder, free=order.memory_limit)
    verified = "; ".join(said for said in (loaded, rescoring.check(folder)) if said)
    card = folder / CARD_FILE
    if card.is_file():
        card.write_text(filled_in(card.read_text(encoding="utf-8"), verified), encoding="utf-8")
    return verified
