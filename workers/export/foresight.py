"""Foresight: the files of an export, their sizes and what changes at its target, with nothing written.

All that a merge checks before its first tensor is checked; parents on the Hub are downloaded, as a merge
does.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from workers.checkpoints.hub.push_plan import LocalFile
from workers.checkpoints.layout import Layout
from workers.checkpoints.tensor_digests import sha256_of
from workers.checkpoints.writing.checkpoint import ROOM_TO_SPARE
from workers.checkpoints.writing.descriptions import generated, shard_sizes
from workers.checkpoints.writing.shards import cut_into_shards
from workers.export.contents import CARD_FILE
from workers.export.gguf import find_converter
from workers.export.object_store import open_store
from workers.export.preparation import PreparedMerge, prepare_merge
from workers.export.provenance.content_hashes import weight_files
from workers.export.provenance.lock_file import LOCK_FILE, lock_text
from workers.export.provenance.signature import SIGNATURE_FILE, check_signing
from workers.export.quantized.kinds import check_kinds
from workers.export.recipe_folder import recipe_files
from workers.protocol.card_marks import VERIFIED
from workers.protocol.messages import ExportOrder, ForeseenExport

GGUF_FILE = "*.gguf"
_DIGEST = "0" * 64  # as long as a real one


def foresee(order: ExportOrder) -> ForeseenExport:
    """Returns what an order would write and change.

    Raises:
        WorkerError: What the merge itself would be refused for: a parent that cannot be read or does not
            fit, a missing converter, a target that cannot be reached.
    """
    check_kinds(order.quantize, weights=order.format != "mergekit")
    if order.sign:
        check_signing()
    if order.format == "gguf":
        find_converter()
    if order.format == "mergekit":
        files: dict[str, int | None] = {name: _size(text) for name, text in recipe_files(order).items()}
        return _at_target(order, files, {}, ())
    prepared = prepare_merge(order)
    contents, notes = prepared.contents, prepared.notes
    shards = cut_into_shards(contents.tensors, contents.shard_bytes)
    made = generated(contents.config, contents.tensors, shards)
    files = {
        **shard_sizes(shards),
        **{name: len(content) for name, content in made.items()},
        **{name: path.stat().st_size for name, path in contents.copied.items()},
        **{name: _size(text) for name, text in contents.texts.items()},
        LOCK_FILE: _lock_size(prepared),
        **({GGUF_FILE: None} if order.format == "gguf" else {}),
        **({SIGNATURE_FILE: None} if order.sign else {}),
    }
    if VERIFIED in order.card:
        notes = (*notes, f"{CARD_FILE} grows by the sentence that says what was verified")
    notes = (*notes, *(f"a {kind} copy is written beside it" for kind in order.quantize))
    copied = {name: path for name, path in contents.copied.items() if name not in contents.texts}
    return _at_target(order, files, copied, notes)


def _lock_size(prepared: PreparedMerge) -> int:
    """Returns the bytes of the lock that the merge will write: its hashes are as long as these."""
    digests = {tensor.name: _DIGEST for tensor in prepared.contents.tensors}
    return _size(lock_text(prepared.locked, lambda parent: _hashes_of(prepared.stored[parent]), digests))


def _hashes_of(layout: Layout) -> dict[str, str]:
    return {path.name: _DIGEST for path in weight_files(layout)}


def _at_target(
    order: ExportOrder, files: dict[str, int | None], copied: Mapping[str, Path], notes: tuple[str, ...]
) -> ForeseenExport:
    refusals: tuple[str, ...] = ()
    if order.hub is not None:
        from workers.checkpoints.hub.foreseen_push import foreseen_push  # slow to import

        known = {name: LocalFile(path, path.stat().st_size, sha256_of(path)) for name, path in copied.items()}
        change, refusals = foreseen_push(files, known, order.hub)
    elif order.remote is not None:
        change, refusals = _at_store(order.remote, replace=order.replace_remote)
    else:
        change = _at_folder(Path(order.folder).expanduser())
    refusals += _room(Path(order.folder).expanduser(), sum(size or 0 for size in files.values()))
    return ForeseenExport(dict(sorted(files.items())), change, refusals, notes)


def _at_folder(folder: Path) -> str:
    there = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    if not there:
        return f"makes {folder}"
    return f"replaces {folder}, where {len(there)} files of {sum(p.stat().st_size for p in there)} bytes lie"


def _at_store(address: str, *, replace: bool) -> tuple[str, tuple[str, ...]]:
    system, root = open_store(address)
    there = system.find(root) if system.exists(root) else []
    if not there:
        return f"fills {address}", ()
    if f"{root}/evomerge.json" not in there:
        return f"leaves {address} as it is", (f"{address} holds files that evomerge did not write",)
    refusals = () if replace else (f"{address} holds {len(there)} files already: --replace replaces them",)
    return f"deletes {len(there)} files at {address} and fills it", refusals


def _room(folder: Path, needed: int) -> tuple[str, ...]:
    place = next(parent for parent in folder.absolute().parents if parent.is_dir())
    free = shutil.disk_usage(place).free
    if free >= needed + ROOM_TO_SPARE:
        return ()
    return (f"{place} has {free / 1e9:.2f} GB free, {(needed + ROOM_TO_SPARE) / 1e9:.2f} GB are needed",)


def _size(text: str | bytes) -> int:
    return len(text.encode() if isinstance(text, str) else text)
