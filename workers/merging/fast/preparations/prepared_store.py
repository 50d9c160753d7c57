"""Prepared tensors on the disk, by content: what one worker made, others and later runs read.

A file's name is the digest of all that its tensors follow from: the inputs' own bytes, the method, its
parameters and its code, and the library that decomposes.  It appears complete or not at all, is checked
when it is read, and is removed where newer ones need its room.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

LIMIT_VARIABLE = "EVOMERGE_PREPARED_BYTES"
_MOST_BYTES = 20 * 2**30
_SHARE_OF_DISK = 10  # a tenth of what is free
_LARGEST_SHARE = 4  # no file takes more than a quarter
_VERSION = 1
_MERGING = Path(__file__).parents[2]


def content_of(tensor: Tensor) -> str:
    """Returns the digest of a tensor's format, shape and numbers, which lie on the CPU."""
    whole = hashlib.blake2b(f"{tensor.dtype} {list(tensor.shape)} ".encode(), digest_size=16)
    whole.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def key_of(kernel: str, name: str, values: Sequence[Hashable], contents: Sequence[str]) -> str:
    """Returns what prepared tensors are stored by.

    Args:
        kernel: The method.
        name: The merged tensor's: methods treat embeddings apart.
        values: Of the parameters that the preparation depends on.
        contents: The digests of the inputs.
    """
    library = (torch.__version__, torch.backends.cpu.get_cpu_capability())
    told = repr((_VERSION, _code(), library, kernel, name, tuple(values), tuple(contents)))
    return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PreparedStore:
    """A folder of prepared tensors.

    Attributes:
        folder: Made when something is stored first.
        limit: Bytes that it may hold; where more would lie there, the longest unused go.
    """

    folder: Path
    limit: int

    def get(self, key: str) -> tuple[Tensor, ...] | None:
        """Returns tensors in their order; None where none are stored, or not as they were written."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                told = file.metadata() or {}
                tensors = tuple(file.get_tensor(f"{number}") for number in range(len(file.keys())))
            if told.get("key") == key and told.get("checksum") == _checksum(tensors):
                os.utime(path)
                return tensors
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError):
            pass
        path.unlink(missing_ok=True)
        return None

    def put(self, key: str, tensors: Sequence[Tensor]) -> None:
        """Stores tensors, where there is room; that it fails is no error, because it only saves time."""
        size = sum(tensor.nbytes for tensor in tensors)
        if not tensors or size > self.limit // _LARGEST_SHARE:
            return
        told = {"key": key, "checksum": _checksum(tensors)}
        content = save({f"{number}": tensor for number, tensor in enumerate(tensors)}, metadata=told)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(content))
            with NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as file:
                try:
                    file.write(content)
                    file.close()
                    Path(file.name).replace(self._path(key))
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _make_room(self, wanted: int) -> None:
        """Removes the files that were not used the longest, until so many bytes fit in."""
        files = sorted((one.stat().st_mtime, one.stat().st_size, one) for one in self.folder.iterdir())
        left = sum(size for _, size, _ in files) + wanted - self.limit
        for _, size, file in files:
            if left <= 0:
                break
            file.unlink(missing_ok=True)
            left -= size


def users_store() -> PreparedStore | None:
    """Returns the store in the user's cache folder; None where it is turned off.

    `EVOMERGE_PREPARED_BYTES` sets its limit, 0 turns it off; else it is 20 GiB, or a tenth of what is free on
    the disk where that is less.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    given = os.environ.get(LIMIT_VARIABLE, "")
    if given.isdecimal():
        limit = int(given)
    else:
        existing = next(folder for folder in (caches, *caches.parents) if folder.exists())
        limit = min(_MOST_BYTES, shutil.disk_usage(existing).free // _SHARE_OF_DISK)
    return PreparedStore(caches / "evomerge" / "prepared", limit) if limit else None


def _checksum(tensors: Sequence[Tensor]) -> str:
    return hashlib.blake2b(" ".join(content_of(tensor) for tensor in tensors).encode()).hexdigest()


@cache
def _code() -> str:
    """Returns the digest of all code that prepares tensors."""
    whole = hashlib.sha256()
    for folder in (_MERGING / "methods", _MERGING / "arithmetic"):
        for source in sorted(folder.rglob("*.py")):
            whole.update(source.read_bytes())
    return whole.hexdigest()
