"""The Hugging Face Hub: what is read there, and in what words its errors are told.

The token comes from the environment (`HF_TOKEN`) and is kept out of messages and logs.  Of a model
safetensors are downloaded and what goes with them: no code, no pickles.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of whichever library it uses
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    NotASafetensorsRepoError,
    SafetensorsParsingError,
)

from search_spaces import Parent
from workers.checkpoints.adapters import CONFIG_FILE as ADAPTER_CONFIG
from workers.checkpoints.adapters import WEIGHTS_FILE as ADAPTER_WEIGHTS
from workers.checkpoints.adapters import AdapterFiles
from workers.checkpoints.companions import NOT_DOWNLOADED
from workers.checkpoints.hub.patience import READING, causes
from workers.checkpoints.inspection import layout_of
from workers.checkpoints.layout import Layout, TensorEntry
from workers.checkpoints.tensor_table import read_json
from workers.errors import CheckpointError, WorkerError

PUBLIC_HUB = "https://huggingface.co"
NO_FOLDER = "there is no such folder here, and on the Hub: "  # `parents/left` may have been meant as either
_UNREADABLE = (NotASafetensorsRepoError, SafetensorsParsingError)
_BY_STATUS = {
    401: ("the Hub does not know the token", "put a valid token into HF_TOKEN"),
    403: ("the token may not do this", "use a token with the right to it in HF_TOKEN"),
    429: ("the Hub takes no more requests for now", "export again in some minutes"),
    404: (
        "there is no such repository or revision, or the token may not see it",
        "check the name and HF_TOKEN",
    ),
}


def inspect_repository(parent: Parent, patterns: tuple[str, ...]) -> Layout:
    """Returns the layout of a model on the Hub; of its weights only headers are read.

    Args:
        parent: The model, without an adapter.
        patterns: Of the descriptions to download.

    Raises:
        CheckpointError: It is missing, cannot be reached, is broken, or not data.
    """
    with translated(CheckpointError, str(parent), NO_FOLDER):
        folder = _download(parent, patterns)
        metadata = READING.call(
            lambda: hub_api().get_safetensors_metadata(parent.model, revision=folder.name)
        )
        tensors = {
            name: _entry(folder / file, described)
            for file, content in metadata.files_metadata.items()
            for name, described in content.tensors.items()
        }
    return layout_of(parent, folder, read_json(folder / "config.json"), tensors)


def inspect_adapter_repository(adapter: Parent) -> AdapterFiles:
    """Returns what an adapter on the Hub says of itself.

    Raises:
        CheckpointError: It is missing, cannot be reached, is broken, or not data.
    """
    with translated(CheckpointError, str(adapter), NO_FOLDER):
        folder = _download(adapter, (ADAPTER_CONFIG,))
        described = READING.call(
            lambda: hub_api().parse_safetensors_file_metadata(
                adapter.model, ADAPTER_WEIGHTS, revision=folder.name
            )
        )
        tensors = {name: _entry(folder / ADAPTER_WEIGHTS, entry) for name, entry in described.tensors.items()}
    return AdapterFiles(adapter, read_json(folder / ADAPTER_CONFIG), tensors)


def is_gated(parent: Parent) -> bool:
    """Says whether a repository lets people in one by one.

    Raises:
        CheckpointError: It is missing or cannot be reached.
    """
    with translated(CheckpointError, str(parent), NO_FOLDER):
        return bool(READING.call(lambda: hub_api().model_info(parent.model, revision=parent.revision)).gated)


def download(parent: Parent, patterns: tuple[str, ...]) -> Path:
    """Returns the folder with a repository's files of these names; what is here already is not fetched again.

    Raises:
        CheckpointError: It is missing or cannot be reached.
    """
    with translated(CheckpointError, str(parent), NO_FOLDER):
        return _download(parent, patterns)


def download_model(parent: Parent) -> Path:
    """Returns the folder with a repository's safetensors and all that goes with them: no code, no pickles.

    Raises:
        CheckpointError: It is missing or cannot be reached.
    """
    with translated(CheckpointError, str(parent), NO_FOLDER):
        return _download(parent, None, NOT_DOWNLOADED)


def hub_api() -> HfApi:
    """Returns the client, with the address and the token of the environment."""
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=os.environ.get("HF_TOKEN"))


def _download(parent: Parent, patterns: Sequence[str] | None, but: Sequence[str] = ()) -> Path:
    found = READING.call(
        lambda: snapshot_download(
            parent.model,
            revision=parent.revision,
            allow_patterns=None if patterns is None else list(patterns),
            ignore_patterns=list(but),
            endpoint=os.environ.get("HF_ENDPOINT"),
            token=os.environ.get("HF_TOKEN"),
        )
    )
    return Path(found)


def _entry(path: Path, described: Any) -> TensorEntry:  # noqa: ANN401 - the client's TensorInfo
    start, end = described.data_offsets
    return TensorEntry(tuple(described.shape), str(described.dtype), path, end - start)


@contextmanager
def translated(error_type: type[WorkerError], field: str, before: str = "") -> Iterator[None]:
    """Turns the client's errors into ours; its own words may hold request headers, so they stay behind."""
    try:
        yield
    except WorkerError:
        raise
    except (HTTPError, OSError, RuntimeError, ValueError, *_UNREADABLE) as error:
        # Uploads in parallel wrap what happened to one of them.
        wrapped = isinstance(error, RuntimeError) and error.__cause__ is not None
        detail, remedy = _explain(causes(error)[1] if wrapped else error)
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
