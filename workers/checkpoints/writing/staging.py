"""Folders that appear complete or not at all.

A folder is written under a hidden name beside its final place, and is renamed when it is done.  The
name tells whose it is; or, where another process may go on with it, it is the same for all and locked.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.errors import ExportError

_OURS = re.compile(r"(?P<pid>\d+)-\d+")
_copies = iter(range(2**62))


def name_of_partial(folder: Path) -> Path:
    """Returns a name for an unfinished folder, one that no other writer has."""
    return folder.parent / f".{folder.name}.partial-{os.getpid()}-{next(_copies)}"


@contextmanager
def shared_partial(folder: Path) -> Iterator[Path]:
    """Gives the unfinished folder that processes may continue one after the other; one has it at a time.

    It stays when the context is left.

    Raises:
        ExportError: Another process is at it.
    """
    partial = folder.parent / f".{folder.name}.partial-merge"
    while True:
        partial.mkdir(exist_ok=True)
        lock = os.open(partial, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(partial, lock):  # the one before may have deleted it meanwhile
                yield partial
                return
        except BlockingIOError as error:
            raise ExportError(
                str(folder),
                "is being written by another merge",
                "wait for it, or choose another folder",
            ) from error
        finally:
            os.close(lock)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def dispose_of_leftovers(folder: Path) -> None:
    """Deletes what writers of this folder left that are no longer alive."""
    start = f".{folder.name}.partial-"
    for path in folder.parent.iterdir():
        match = _OURS.fullmatch(path.name.removeprefix(start)) if path.name.startswith(start) else None
        if match and not _is_alive(int(match["pid"])):
            shutil.rmtree(path, ignore_errors=True)


def files_in(folder: Path) -> dict[str, Path]:
    """Returns a folder's files, those of its sub-folders too, by path from it with slashes, sorted."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths}


def sync(folder: Path) -> None:
    """Waits until a folder's files are on the disk, those of its sub-folders too."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def put_in_place(partial: Path, folder: Path) -> None:
    """Gives a finished folder its final name; a folder that was there is deleted afterwards.

    Raises:
        OSError: Another process put a folder there meanwhile.
    """
    if folder.is_dir() and not folder.is_symlink():
        # A rename does not replace a folder that holds something: for the blink between two
        # renames there is none.
        aside = name_of_partial(folder)
        folder.rename(aside)
        try:
            partial.rename(folder)
        except OSError:
            aside.rename(folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    else:
        if folder.is_symlink():
            folder.unlink()
        partial.rename(folder)
    _sync(folder.parent)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
