"""Targets: where an export may go.  A folder of the service's machine, a Hub repository, an object store."""

from __future__ import annotations

import os
import re
from pathlib import Path

from service.errors import ConflictError, InvalidSpecError, Mistake
from service.experiment.names import folder_name
from service.settings import Settings
from service.specification.roots import is_below
from service.store.models import ExperimentRow

HUB = "hub:"
SCORES_FILE = "evomerge.json"  # also tells evomerge's own folders from others
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_STORE = re.compile(r"(?P<scheme>[a-z][a-z0-9]{0,15})://(?P<path>[^\s?#@:]+)", re.ASCII)
_REMOTE = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "hdfs", "webhdfs"))
_HERE = frozenset(("file", "memory"))  # of this machine: below the folders that may be written to


class BadTargetError(InvalidSpecError):
    """A target that is no absolute folder, no Hub repository and no object store."""

    code = "bad_target"

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__([Mistake("/target", self.code, detail, remedy)])
        self.detail, self.remedy = detail, remedy


def is_store(target: str) -> bool:
    """Says whether a target is an address such as `s3://bucket/path`."""
    return "://" in target


def checked_target(target: str, roots: tuple[Path, ...] | None, *, replace: bool) -> str:
    """Returns a target as it is kept.

    Args:
        target: As it was given.
        roots: Folders that the service may export to; None allows any.
        replace: What lies there may go.

    Raises:
        BadTargetError: It is nothing that an export can go to, or may not.
        ConflictError: It is a folder that exists, and may not be replaced.
    """
    if target.startswith(HUB):
        _check_repository(target.removeprefix(HUB))
        return target
    if is_store(target):
        _check_store(target, roots)
        return target.rstrip("/")
    _check_place(target, roots)
    return _checked_folder(target, replace=replace)


def default_folder(settings: Settings, experiment: ExperimentRow, number: int) -> Path:
    """Returns where a candidate is written when no target is given, and before it goes elsewhere."""
    return settings.exports / folder_name(experiment.name, experiment.id.hex[-8:]) / str(number)


def _check_repository(name: str) -> None:
    if not _REPOSITORY.fullmatch(name):
        raise BadTargetError(
            f"{name[:200]!r} is no name of a Hub repository",
            "write hub:organization/name, with letters, digits, dots and dashes",
        )


def _check_place(target: str, roots: tuple[Path, ...] | None) -> None:
    if not is_below(target, roots):
        raise BadTargetError(
            f"{target[:200]} is in no folder that this service may export to",
            "choose a folder below one of them, or add one to EVOMERGE_EXPORT_ROOTS",
        )


def _check_store(target: str, roots: tuple[Path, ...] | None) -> None:
    match = _STORE.fullmatch(target)
    if match is not None and match["scheme"] in _HERE:
        _check_place(match["path"], roots)
    elif match is None or match["scheme"] not in _REMOTE:
        raise BadTargetError(
            f"{target[:200]!r} is no object store to write to",
            "write s3://bucket/path or another address of fsspec, without a password or a query; credentials "
            "come from the service's environment",
        )


def _checked_folder(target: str, *, replace: bool) -> str:
    if not Path(target).is_absolute():
        raise BadTargetError(
            f"{target[:200]!r} is no absolute folder",
            "write the whole path on the service's machine, or hub:organization/name",
        )
    folder = Path(os.path.normpath(target))
    try:
        place = next(parent for parent in folder.parents if os.path.lexists(parent))
        taken = os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise BadTargetError(f"{folder} cannot be used: {error.strerror}", "choose another folder") from error
    if not place.is_dir():
        raise BadTargetError(f"{place} is a file, not a folder", "choose another folder")
    if taken and not replace:
        raise ConflictError(
            f"{folder} exists already", "choose another folder, or replace it (--replace, `replace: true`)"
        )
    if taken and not (folder / SCORES_FILE).is_file():
        raise ConflictError(
            f"{folder} exists and was not written by evomerge, so it is not replaced", "choose another folder"
        )
    return str(folder)
