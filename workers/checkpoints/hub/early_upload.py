"""Uploads a checkpoint's finished files while the rest is being merged; no repository shows them yet.

The Hub keeps what was sent by its content, and a later commit that names it needs not send it again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from huggingface_hub import CommitOperationAdd

from workers.checkpoints.hub.client import hub_api, translated
from workers.checkpoints.hub.foreseen_push import refusals_of
from workers.checkpoints.hub.patience import Patience
from workers.errors import ExportError
from workers.protocol.messages import HubTarget

_log = logging.getLogger(__name__)
_BESIDE_A_MERGE = Patience(tries=2)  # the push that follows has more


class EarlyUpload:
    """Sends files one after the other, on a thread of its own.

    Its failures end nothing: the push that follows sends what is missing, with the usual patience, and
    says what is wrong.  Where that push would be refused, nothing is sent.
    """

    def __init__(self, target: HubTarget, patience: Patience = _BESIDE_A_MERGE) -> None:
        self._target, self._patience = target, patience
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="evomerge-early-upload")
        self._sent: list[tuple[Path, Future[CommitOperationAdd | None]]] = []
        self._may_send: bool | None = None  # unknown until the first file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def offer(self, path: Path) -> None:
        """Takes a complete file, whose content stays and whose folder may be renamed once it was sent."""
        self._sent.append((path, self._pool.submit(self._send, path)))

    def sent_from(self, folder: Path) -> dict[str, CommitOperationAdd]:
        """Waits for what was offered; returns what was sent, by name, as files of their final folder."""
        found = {}
        for path, future in self._sent:
            addition = future.result()
            if addition is not None and (folder / path.name).is_file():
                addition.path_or_fileobj = str(folder / path.name)
                found[path.name] = addition
        return found

    def wait(self) -> None:
        """Waits for what was offered: until then its files must stay where they are."""
        for _, future in self._sent:
            future.result()

    def _send(self, path: Path) -> CommitOperationAdd | None:
        """Sends a file; returns None where it could not be sent."""
        try:
            with translated(ExportError, self._target.repository):
                if not self._is_welcome():
                    return None
                addition = CommitOperationAdd(path.name, path)  # hashes it
                self._patience.call(lambda: self._upload([addition]))
                return addition
        except ExportError as error:
            self._may_send = False
            _log.warning("%s is sent after the merge, not beside it: %s", path.name, error)
            return None

    def _upload(self, additions: Iterable[CommitOperationAdd]) -> None:
        hub_api().preupload_lfs_files(
            self._target.repository, additions, create_pr=self._target.create_pr, free_memory=False
        )

    def _is_welcome(self) -> bool:
        """Makes the repository where there is none; says whether the push will be let in."""
        if self._may_send is None:
            self._may_send = bool(os.environ.get("HF_TOKEN")) and not refusals_of(self._target)
            if self._may_send:
                self._patience.call(
                    lambda: hub_api().create_repo(
                        self._target.repository, private=self._target.private, exist_ok=True
                    )
                )
        return self._may_send


def with_sent(
    files: Mapping[str, Path], sent: Mapping[str, CommitOperationAdd]
) -> dict[str, CommitOperationAdd]:
    """Returns what adds these files to a repository; what was sent is not hashed or sent again."""
    return {name: sent.get(name) or CommitOperationAdd(name, path) for name, path in files.items()}
