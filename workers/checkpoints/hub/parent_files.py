"""Where a parent's files are: in a folder here, or on the Hugging Face Hub.

The Hub's client is imported when something lies there: a merge of folders does not wait for it.
"""

from __future__ import annotations

import re
from pathlib import Path

from search_spaces import Parent
from search_spaces.recipes.parent import is_path
from workers.checkpoints.adapters import AdapterFiles, read_adapter, with_adapter
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.layout import Layout
from workers.errors import CheckpointError, WorkerError

DESCRIPTIONS = ("*.json", "*.model", "*.tiktoken", "merges.txt", "vocab.txt", "*.jinja")
LARGEST_TEXT = 2**20  # bytes
_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)


def inspect_parent(parent: Parent) -> Layout:
    """Returns the layout of a parent, here or on the Hub; of the Hub's weights only headers are read.

    Raises:
        CheckpointError: It is missing, cannot be reached, is broken, or not data.
    """
    if parent.adapter_as_parent is not None:
        adapter = _inspect_adapter(parent.adapter_as_parent)
        return with_adapter(inspect_parent(parent.without_adapter), adapter, parent)
    folder = local_folder(parent)
    if folder is not None:
        return inspect_checkpoint(parent, folder)
    from workers.checkpoints.hub.client import inspect_repository

    return inspect_repository(parent, DESCRIPTIONS)


def _inspect_adapter(adapter: Parent) -> AdapterFiles:
    folder = local_folder(adapter)
    if folder is not None:
        return read_adapter(adapter, folder)
    from workers.checkpoints.hub.client import inspect_adapter_repository

    return inspect_adapter_repository(adapter)


def description_folder(parent: Parent, name: str) -> Path | None:
    """Returns the folder with a parent's file of this name, None where it has none that can be had."""
    try:
        folder = local_folder(parent) or _download(parent, (name,))
    except (WorkerError, OSError, RuntimeError, ValueError):
        return None
    return folder if (folder / name).is_file() else None


def read_description(parent: Parent, folder: Path, name: str) -> str | None:
    """Returns a text beside a parent's weights, such as its README, None where there is none.

    Args:
        parent: The model.
        folder: Where its other files are.
        name: The file's.
    """
    path = folder / name
    if not path.is_file() and local_folder(parent) is None:
        found = description_folder(parent, name)
        path = found / name if found is not None else path
    if not path.is_file() or path.stat().st_size > LARGEST_TEXT:
        return None
    return path.read_text(encoding="utf-8", errors="replace")


def fetch_layout(parent: Parent) -> Layout:
    """Returns the layout of a parent whose files are here; what lies on the Hub is downloaded once.

    Raises:
        CheckpointError: It is missing, cannot be reached, is broken, or not data.
        MismatchError: Its adapter was made for another model.
    """
    if parent.adapter_as_parent is None:
        return inspect_checkpoint(parent, fetch_parent(parent))
    return inspect_checkpoint(parent, fetch_parent(parent), fetch_parent(parent.adapter_as_parent))


def fetch_parent(parent: Parent) -> Path:
    """Returns the folder with a model's files, without its adapter; a Hub repository is downloaded once.

    Raises:
        CheckpointError: It is missing or cannot be reached.
    """
    folder = local_folder(parent)
    if folder is not None:
        return folder
    from workers.checkpoints.hub.client import download_model

    return download_model(parent)


def local_folder(parent: Parent) -> Path | None:
    """Returns the folder that a parent names, or None for a Hub repository.

    Raises:
        CheckpointError: It names neither.
    """
    folder = Path(parent.model).expanduser()
    if folder.is_dir():
        return folder
    if is_path(parent.model) or not _REPOSITORY.fullmatch(parent.model):
        raise CheckpointError(
            str(parent), f"there is no folder {folder}", "correct the path, or write org/name for a Hub model"
        )
    return None


def _download(parent: Parent, patterns: tuple[str, ...]) -> Path:
    from workers.checkpoints.hub.client import download

    return download(parent, patterns)
