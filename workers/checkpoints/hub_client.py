"""The Hugging Face Hub: what is read there, and exports that go there.

The token comes from the environment (`HF_TOKEN`) and is kept out of messages and logs.  Of a model
safetensors are downloaded and what goes with them: no code, no pickles.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of whichever library it uses
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    NotASafetensorsRepoError,
    SafetensorsParsingError,
)
from huggingface_hub.hf_api import RepoFile

from search_spaces import Parent
from workers.checkpoints.adapters import CONFIG_FILE as ADAPTER_CONFIG
from workers.checkpoints.adapters import WEIGHTS_FILE as ADAPTER_WEIGHTS
from workers.checkpoints.adapters import AdapterFiles
from workers.checkpoints.companions import NOT_DOWNLOADED
from workers.checkpoints.hub_patience import EXPORTING, READING, Patience, causes, may_pass
from workers.checkpoints.inspection import layout_of
from workers.checkpoints.layout import Layout, TensorEntry
from workers.checkpoints.push_plan import LocalFile, PushPlan, RemoteFile, plan_push
from workers.checkpoints.tensor_table import read_json
from workers.checkpoints.writing.staging import files_in
from workers.errors import CheckpointError, ExportError, WorkerError
from workers.protocol.messages import HubTarget

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


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where a folder now is on the Hub, and what that changed there."""

    url: str
    commit: str
    plan: PushPlan = field(default_factory=PushPlan)


def inspect_repository(parent: Parent, patterns: tuple[str, ...]) -> Layout:
    """Returns the layout of a model on the Hub; of its weights only headers are read.

    Args:
        parent: The model, without an adapter.
        patterns: Of the descriptions to download.

    Raises:
        CheckpointError: It is missing, cannot be reached, is broken, or not data.
    """
    with _translated(CheckpointError, str(parent), NO_FOLDER):
        folder = _download(parent, patterns)
        metadata = READING.call(lambda: _api().get_safetensors_metadata(parent.model, revision=folder.name))
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
    with _translated(CheckpointError, str(adapter), NO_FOLDER):
        folder = _download(adapter, (ADAPTER_CONFIG,))
        described = READING.call(
            lambda: _api().parse_safetensors_file_metadata(
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
    with _translated(CheckpointError, str(parent), NO_FOLDER):
        return bool(READING.call(lambda: _api().model_info(parent.model, revision=parent.revision)).gated)


def download(parent: Parent, patterns: tuple[str, ...]) -> Path:
    """Returns the folder with a repository's files of these names; what is here already is not fetched again.

    Raises:
        CheckpointError: It is missing or cannot be reached.
    """
    with _translated(CheckpointError, str(parent), NO_FOLDER):
        return _download(parent, patterns)


def download_model(parent: Parent) -> Path:
    """Returns the folder with a repository's safetensors and all that goes with them: no code, no pickles.

    Raises:
        CheckpointError: It is missing or cannot be reached.
    """
    with _translated(CheckpointError, str(parent), NO_FOLDER):
        return _download(parent, None, NOT_DOWNLOADED)


def push_folder(folder: Path, target: HubTarget, patience: Patience = EXPORTING) -> Pushed:
    """Makes a repository hold a folder's model, in one commit; it is made when there is none.

    What is there already is not uploaded again.  A call that fails for a reason that may pass is tried
    again; after every attempt the repository is looked at anew, for a commit may have been made though
    its answer was lost.

    Raises:
        ExportError: The Hub refused or could not be reached, or the repository holds another model and
            `target.replace` is not set; the message lists what would be changed and deleted.
    """
    if not os.environ.get("HF_TOKEN"):
        raise ExportError(target.repository, "there is no Hub token", "put one into HF_TOKEN")
    with _translated(ExportError, target.repository):
        api = _api()
        url = patience.call(lambda: api.create_repo(target.repository, private=target.private, exist_ok=True))
        additions = {
            name: CommitOperationAdd(name, path) for name, path in files_in(folder).items()
        }  # hashes every file, once
        return _Push(api, target, additions, patience).carry_out(str(url))


class _Push:
    """One folder on its way into a repository."""

    def __init__(
        self,
        api: HfApi,
        target: HubTarget,
        additions: Mapping[str, CommitOperationAdd],
        patience: Patience,
    ) -> None:
        self._api, self._target, self._additions, self._patience = api, target, additions, patience
        self._local = {
            name: LocalFile(
                Path(str(addition.path_or_fileobj)),
                addition.upload_info.size,
                addition.upload_info.sha256.hex(),
            )
            for name, addition in additions.items()
        }
        self._done = PushPlan()

    def carry_out(self, url: str) -> Pushed:
        """Looks, plans and commits until the repository is as it shall be."""
        for tried in range(1, self._patience.tries + 1):
            commit, plan = self._patience.call(self._plan)
            if plan.is_done:
                return Pushed(url, commit, self._done)
            self._check(plan)
            self._done = plan
            try:
                made = self._commit(plan, commit)
            except Exception as error:
                if tried == self._patience.tries or not (may_pass(error) or _has_moved(error)):
                    raise
                self._patience.wait(error, tried)
            else:
                return Pushed(url, made, plan)
        raise ExportError(self._target.repository, "kept changing meanwhile", "export again later")

    def _plan(self) -> tuple[str, PushPlan]:
        """Returns the newest commit, and what is to be done on top of it."""
        name = self._target.repository
        found = self._api.repo_info(name)
        if self._target.private and not found.private:
            raise ExportError(name, "exists and is public", "choose another name, or push publicly")
        entries = self._api.list_repo_tree(name, recursive=True, revision=found.sha)
        remote = [
            RemoteFile(entry.path, entry.size, entry.blob_id, None if entry.lfs is None else entry.lfs.sha256)
            for entry in entries
            if isinstance(entry, RepoFile)
        ]
        return str(found.sha), plan_push(self._local, remote)

    def _check(self, plan: PushPlan) -> None:
        if plan.replaces and not self._target.replace:
            raise ExportError(
                self._target.repository,
                f"holds another model; this export {plan.text()}",
                "choose another name, or say that it may be replaced (--replace, `replace: true`)",
            )

    def _commit(self, plan: PushPlan, parent: str) -> str:
        additions = [self._additions[path] for path in (*plan.added, *plan.changed)]
        # Large files go up first; nothing is visible until the one commit that names them all.
        self._api.preupload_lfs_files(self._target.repository, additions)
        commit = self._api.create_commit(
            self._target.repository,
            [*additions, *(CommitOperationDelete(path) for path in plan.deleted)],
            commit_message=self._target.message,
            parent_commit=parent,
        )
        return str(commit.oid)


def _has_moved(error: BaseException) -> bool:
    """Says whether another commit came in between."""
    return isinstance(error, HfHubHTTPError) and error.response.status_code in (409, 412)


def _api() -> HfApi:
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
def _translated(error_type: type[WorkerError], field: str, before: str = "") -> Iterator[None]:
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
