"""Copies a finished folder to an object store (`s3://bucket/path`) or any other place that fsspec knows.

What makes a folder a checkpoint, its config.json, comes last: until then a reader finds nothing to load.
Every file is read back and its SHA-256 compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

from workers.checkpoints.tensor_digests import sha256_of
from workers.checkpoints.writing.staging import files_in
from workers.errors import ExportError
from workers.protocol.messages import Exported

LAST = "config.json"
AT_ONCE = 8 * 2**20  # bytes


def copy_to_store(exported: Exported, address: str, *, replace: bool = False) -> Exported:
    """Copies a folder's files to an address; the local folder stays.

    Raises:
        ExportError: The store cannot be reached, holds something already, or gave back other bytes.
    """
    kept = f"the merged model is kept in {exported.folder}"
    system, root = open_store(address)
    try:
        _check_empty(system, root, address, replace=replace)
        files = files_in(Path(exported.folder))
        for name in sorted(files, key=lambda name: (name == LAST, name)):
            _copy(system, files[name], f"{root}/{name}", address)
    except ExportError as error:
        raise ExportError(error.field, error.detail, f"{error.remedy}; {kept}") from error
    except Exception as error:
        detail = f"cannot be written ({type(error).__name__}: {str(error)[:200]})"
        raise ExportError(address, detail, f"check the address and its credentials; {kept}") from error
    return replaced(exported, url=address, notes=(*exported.notes, f"copied to {address}, hashes compared"))


def open_store(address: str) -> tuple[Any, str]:
    """Returns fsspec's file system for an address, and the path in it.

    Raises:
        ExportError: The library for it is not installed, or the address makes no sense.
    """
    import fsspec.core

    try:
        system, root = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        scheme = address.partition("://")[0]
        remedy = f"install fsspec's library for {scheme} (s3: s3fs, gs: gcsfs, az: adlfs), or choose a folder"
        raise ExportError(address, str(error)[:300], remedy) from error
    return system, root.rstrip("/")


def _check_empty(system: Any, root: str, address: str, *, replace: bool) -> None:  # noqa: ANN401 - fsspec's
    there = system.find(root) if system.exists(root) else []
    if not there:
        return
    if not replace:
        remedy = "choose another address, or say that it may be replaced (--replace, `replace: true`)"
        raise ExportError(address, f"holds {len(there)} files already", remedy)
    if f"{root}/evomerge.json" not in there:
        detail = "holds files that evomerge did not write, so they are not replaced"
        raise ExportError(address, detail, "choose another address")
    # The first to go is what makes the old files a checkpoint.
    for path in sorted(there, key=lambda path: not path.endswith(f"/{LAST}")):
        system.rm_file(path)


def _copy(system: Any, path: Path, target: str, address: str) -> None:  # noqa: ANN401 - fsspec's
    system.makedirs(target.rpartition("/")[0], exist_ok=True)
    system.put_file(str(path), target)
    digest = hashlib.sha256()
    with system.open(target, "rb") as file:
        while chunk := file.read(AT_ONCE):
            digest.update(chunk)
    if digest.hexdigest() != sha256_of(path):
        raise ExportError(f"{address}/{path.name}", "was read back with other bytes", "export again")
