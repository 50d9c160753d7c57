"""A folder that holds a model's recipe and descriptions, and no weights: mergekit makes them from it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from workers.checkpoints.tensor_digests import folder_digest
from workers.checkpoints.writing.staging import (
    dispose_of_leftovers,
    files_in,
    name_of_partial,
    put_in_place,
    sync,
)
from workers.errors import ExportError
from workers.export.contents import texts_of
from workers.protocol.card_marks import filled_in
from workers.protocol.messages import Exported, ExportOrder

_SAID = "a recipe without weights, which nothing was loaded of"


def write_recipe_folder(order: ExportOrder) -> Exported:
    """Writes an order's texts and pictures into its folder, complete or not at all.

    Raises:
        ExportError: The folder exists already, or cannot be written.
    """
    folder = Path(order.folder).expanduser().absolute()
    try:
        return _write(folder, recipe_files(order), may_replace=order.replace)
    except OSError as error:
        detail = f"cannot be written ({error.strerror or error})"
        raise ExportError(str(folder), detail, "check the path, its rights and the disk") from error


def recipe_files(order: ExportOrder) -> dict[str, str | bytes]:
    """Returns what such a folder holds, by name."""
    return texts_of(replace(order, card=filled_in(order.card, _SAID)))


def _write(folder: Path, files: Mapping[str, str | bytes], *, may_replace: bool) -> Exported:
    folder.parent.mkdir(parents=True, exist_ok=True)
    dispose_of_leftovers(folder)
    if folder.exists() and not may_replace and not (folder.is_dir() and not any(folder.iterdir())):
        raise ExportError(str(folder), "exists already", "choose another folder, or ask to replace it")
    partial = name_of_partial(folder)
    try:
        partial.mkdir()
        for name, content in files.items():
            (partial / name).write_bytes(content.encode() if isinstance(content, str) else content)
        sync(partial)
        put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return described(folder)


def described(folder: Path, verified: str = "", known: Mapping[str, str] | None = None) -> Exported:
    """Returns what a folder holds: names, size, and one digest over all files; `known` are its tensors'."""
    paths = files_in(folder)
    size = sum(path.stat().st_size for path in paths.values())
    return Exported(str(folder), tuple(paths), size, folder_digest(paths, known), verified=verified)
