"""Finished folders that wait for their upload: a push that failed is tried again without merging again.

A note beside the folder, hidden, says what was merged and a digest of every file that it wrote.  The
folder is used again for the same merge where each file still has its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.checkpoints.tensor_digests import content_digest, tensor_digests
from workers.checkpoints.writing.checkpoint import Contents
from workers.checkpoints.writing.staging import files_in, sync
from workers.export.provenance.signature import SIGNATURE_FILE
from workers.export.recipe_folder import described
from workers.protocol.card_marks import filled_in
from workers.protocol.messages import Exported


@dataclass(frozen=True, slots=True)
class FinishedFolder:
    """A folder that holds, or will hold, what one order asks for.

    Attributes:
        folder: The checkpoint's final place.
        key: Changes with everything that its files depend on, but for `texts`.
        texts: Written anew when the folder is used again: a card may have changed.
    """

    folder: Path
    key: str
    texts: Mapping[str, str | bytes]

    @classmethod
    def of(cls, folder: Path, key: str, contents: Contents) -> FinishedFolder:
        """Returns the folder of a merge with this key."""
        copied = {name: _state(path) for name, path in contents.copied.items()}
        told = json.dumps([key, contents.config, copied], sort_keys=True, default=str)
        return cls(folder.expanduser().absolute(), hashlib.sha256(told.encode()).hexdigest(), contents.texts)

    def find(self) -> Exported | None:
        """Returns the checkpoint that is there already, with its texts as they shall be; None without it."""
        try:
            known = json.loads(self._note.read_text(encoding="utf-8"))
            if known["key"] != self.key or not self.folder.is_dir():
                return None
            files, digests = files_in(self.folder), known["digests"]
            if files.keys() - self.texts.keys() - {SIGNATURE_FILE} != digests.keys():
                return None
            tensors = tensor_digests(self.folder)
            if any(content_digest(files[name], tensors) != digest for name, digest in digests.items()):
                return None
            verified = str(known["verified"])
            self._write_texts(verified)
            return described(self.folder, verified, tensors)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, exported: Exported, known: Mapping[str, str]) -> None:
        """Notes that the folder is finished; `known` are the digests of its tensors."""
        files = files_in(self.folder)
        digests = {n: content_digest(path, known) for n, path in files.items() if n not in self.texts}
        content = {"key": self.key, "digests": digests, "verified": exported.verified}
        _replace(self._note, json.dumps(content).encode())

    @property
    def _note(self) -> Path:
        return _note_of(self.folder)

    def _write_texts(self, verified: str) -> None:
        """Writes the texts; a signature of the earlier ones goes."""
        (self.folder / SIGNATURE_FILE).unlink(missing_ok=True)
        for name, text in self.texts.items():
            content = filled_in(text, verified).encode() if isinstance(text, str) else text
            _replace(self.folder / name, content)
        sync(self.folder)


def forget(folder: Path) -> None:
    """Deletes the note of a folder: its upload has ended."""
    _note_of(folder).unlink(missing_ok=True)


def _note_of(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.finished.json"


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _replace(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)
