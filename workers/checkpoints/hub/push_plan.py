"""Push plans: what putting a folder into a Hub repository would add, change and delete there.  Pure.

A repository may hold another model.  `from_pretrained` takes `model.safetensors` before the index of a
sharded checkpoint, adapters and tokenizers by their names: what the old model leaves beside the new one
would be loaded instead of it, or with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.checkpoints.companions import TEMPLATES_FOLDER, WEIGHT_ENDINGS, is_of_tokenizer

CARD = "README.md"
_OF_MODELS = re.compile(
    r"""config\.json | generation_config\.json | params\.json
      | (\w+_)?(preprocessor|processor)_config\.json | image_processor\w*\.json
      | adapter_config\.json | (hf_)?quant\w*_config.*\.json
      | mergekit\w*\.ya?ml | evomerge[\w.-]*\.(json|png)
    """,
    re.VERBOSE,
)
_SHOWN = 20  # names in a message


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a repository: git's own hash of it, and the content's SHA-256 where it is a large one."""

    path: str
    size: int
    git_oid: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be pushed, and its content's SHA-256."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push does, by path.

    Attributes:
        added: Not there yet.
        changed: There with another content.
        deleted: Files of the model that is there, which would be loaded instead of the new one or with it.
        same: There already.
        left: Everything else that is there; it is left alone.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Says whether everything is as it shall be."""
        return not (self.added or self.changed or self.deleted)

    @property
    def replaces(self) -> tuple[str, ...]:
        """The files of the model that is there and that would be no more: it takes the user's word."""
        return (*(path for path in self.changed if is_of_model(path)), *self.deleted)

    def text(self) -> str:
        """Returns the plan in one sentence."""
        parts = [
            f"{verb} {_listed(paths)}"
            for verb, paths in (
                ("adds", self.added),
                ("changes", self.changed),
                ("deletes", self.deleted),
                ("leaves alone", self.left),
            )
            if paths
        ]
        return "; ".join(parts) or "changes nothing"


def plan_push(local: Mapping[str, LocalFile], remote: Iterable[RemoteFile]) -> PushPlan:
    """Returns what it takes for a repository to hold exactly this model.

    Args:
        local: What is pushed, by path in the repository.
        remote: What the repository holds.
    """
    there = {file.path: file for file in remote}
    same = {path for path, file in local.items() if path in there and _is_same(file, there[path])}
    others = there.keys() - local.keys()
    deleted = {path for path in others if is_of_model(path)}
    return PushPlan(
        added=tuple(sorted(local.keys() - there.keys())),
        changed=tuple(sorted((local.keys() & there.keys()) - same)),
        deleted=tuple(sorted(deleted)),
        same=tuple(sorted(same)),
        left=tuple(sorted(path for path in others - deleted if not path.startswith("."))),
    )


def is_of_model(path: str) -> bool:
    """Says whether a repository's file is part of the model that loading finds: not a card, no sub-folder."""
    if path.startswith(f"{TEMPLATES_FOLDER}/"):
        return True
    known = path.lower().endswith(WEIGHT_ENDINGS) or _OF_MODELS.fullmatch(path) or is_of_tokenizer(path)
    return "/" not in path and not path.startswith(".") and bool(known)


def _is_same(local: LocalFile, remote: RemoteFile) -> bool:
    if local.size != remote.size:
        return False
    if remote.sha256 is not None:
        return local.sha256 == remote.sha256
    content = local.path.read_bytes()  # a small one: git keeps it itself
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return blob.hexdigest() == remote.git_oid


def _listed(paths: tuple[str, ...]) -> str:
    shown = ", ".join(paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"
