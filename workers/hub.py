"""Models in from, and exports out to, the Hugging Face Hub.

The token comes from the environment (`HF_TOKEN`) and is kept out of messages and logs.  Only
weights, JSON and tokenizer files are ever downloaded: no code, no pickles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of whichever library it uses
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    NotASafetensorsRepoError,
    SafetensorsParsingError,
)

from search_spaces import Parent
from workers.adapters import CONFIG_FILE as ADAPTER_CONFIG
from workers.adapters import WEIGHTS_FILE as ADAPTER_WEIGHTS
from workers.adapters import AdapterFiles, read_adapter, with_adapter
from workers.errors import CheckpointError, ExportError, WorkerError
from workers.inspection import inspect_checkpoint, layout_of
from workers.layout import Layout, TensorEntry
from workers.messages import HubTarget
from workers.tensor_table import read_json

PUBLIC_HUB = "https://huggingface.co"
DESCRIPTIONS = ("*.json", "tokenizer.model", "*.tiktoken", "merges.txt", "vocab.txt", "*.jinja")
WEIGHTS = ("*.safetensors",)
LARGEST_TEXT = 2**20  # bytes
NO_FOLDER = "there is no such folder here, and on the Hub: "  # `parents/left` may have been meant as either
_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)
_UNREADABLE = (NotASafetensorsRepoError, SafetensorsParsingError)
_BY_STATUS = {
    401: ("the Hub does not know the token", "put a valid token into HF_TOKEN"),
    403: ("the token may not do this", "use a token with the right to it in HF_TOKEN"),
    404: (
        "there is no such repository or revision, or the token may not see it",
        "check the name and HF_TOKEN",
    ),
}


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where a folder now is on the Hub."""

    url: str
    commit: str


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
    with _translated(CheckpointError, str(parent), NO_FOLDER):
        folder = _download(parent, DESCRIPTIONS)
        metadata = _api().get_safetensors_metadata(parent.model, revision=folder.name)
        tensors = {
            name: _entry(folder / file, described)
            for file, content in metadata.files_metadata.items()
            for name, described in content.tensors.items()
        }
    return layout_of(parent, folder, read_json(folder / "config.json"), tensors)


def _inspect_adapter(adapter: Parent) -> AdapterFiles:
    folder = local_folder(adapter)
    if folder is not None:
        return read_adapter(adapter, folder)
    with _translated(CheckpointError, str(adapter), NO_FOLDER):
        folder = _download(adapter, (ADAPTER_CONFIG,))
        described = _api().parse_safetensors_file_metadata(
            adapter.model, ADAPTER_WEIGHTS, revision=folder.name
        )
        tensors = {name: _entry(folder / ADAPTER_WEIGHTS, entry) for name, entry in described.tensors.items()}
    return AdapterFiles(adapter, read_json(folder / ADAPTER_CONFIG), tensors)


def description_folder(parent: Parent, name: str) -> Path | None:
    """Returns the folder with a parent's file of this name, None where it has none that can be had."""
    try:
        folder = local_folder(parent) or _download(parent, (name,))
    except (WorkerError, HTTPError, OSError, RuntimeError, ValueError):
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
    with _translated(CheckpointError, str(parent), NO_FOLDER):
        return _download(parent, DESCRIPTIONS + WEIGHTS)


def local_folder(parent: Parent) -> Path | None:
    """Returns the folder that a parent names, or None for a Hub repository.

    Raises:
        CheckpointError: It names neither.
    """
    folder = Path(parent.model).expanduser()
    if folder.is_dir():
        return folder
    if parent.model.startswith((".", "/", "~")) or not _REPOSITORY.fullmatch(parent.model):
        raise CheckpointError(
            str(parent), f"there is no folder {folder}", "correct the path, or write org/name for a Hub model"
        )
    return None


def push_folder(folder: Path, target: HubTarget) -> Pushed:
    """Uploads a folder's files as one commit, into a repository that is made when there is none.

    Raises:
        ExportError: The Hub refused, or could not be reached.
    """
    if not os.environ.get("HF_TOKEN"):
        raise ExportError(target.repository, "there is no Hub token", "put one into HF_TOKEN")
    with _translated(ExportError, target.repository):
        api = _api()
        url = api.create_repo(target.repository, private=target.private, exist_ok=True)
        found = api.repo_info(target.repository)
        if target.private and not found.private:
            raise ExportError(
                target.repository, "exists and is public", "choose another name, or push publicly"
            )
        operations = [
            CommitOperationAdd(path.relative_to(folder).as_posix(), path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        # Large files go up first; nothing is visible until the one commit that names them all.
        api.preupload_lfs_files(target.repository, operations)
        commit = api.create_commit(
            target.repository, operations, commit_message=target.message, parent_commit=found.sha
        )
    return Pushed(str(url), commit.oid)


def _api() -> HfApi:
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=os.environ.get("HF_TOKEN"))


def _download(parent: Parent, patterns: tuple[str, ...]) -> Path:
    return Path(
        snapshot_download(
            parent.model,
            revision=parent.revision,
            allow_patterns=list(patterns),
            endpoint=os.environ.get("HF_ENDPOINT"),
            token=os.environ.get("HF_TOKEN"),
        )
    )


def _entry(path: Path, described: Any) -> TensorEntry:  # noqa: ANN401 - the client's TensorInfo
    start, end = described.data_offsets
    return TensorEntry(tuple(described.shape), str(described.dtype), path, end - start)


@contextmanager
def _translated(error_type: type[WorkerError], field: str, before: str = "") -> Iterator[None]:
    """Turns the client's errors into ours; its own words may hold request headers, so they stay behind."""
    try:
        yield
    except WorkerError:
        raise
    except (HTTPError, OSError, RuntimeError, ValueError, *_UNREADABLE) as error:
        # Uploads in parallel wrap what happened to one of them.
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        detail, remedy = _explain(cause)
        raise error_type(field, before + detail, remedy) from None


def _explain(error: BaseException) -> tuple[str, str]:
    """Returns what is wrong, and what to do."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        detail, remedy = _BY_STATUS.get(status, ("the Hub is in trouble", "try again later"))
        return f"{detail} (status {status} from {_endpoint()})", remedy
    if isinstance(error, HFValidationError):
        return "is no repository name", "write org/name"
    if isinstance(error, _UNREADABLE):
        return "has no readable safetensors weights", "convert it to safetensors, or use another revision"
    if isinstance(error, HTTPError | OSError):
        detail = f"{_endpoint()} cannot be reached ({type(error).__name__})"
        return detail, "check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
    return f"the Hub's answer made no sense ({type(error).__name__})", "try again later"


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", PUBLIC_HUB)
