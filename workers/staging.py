"""Folders that appear complete or not at all.

A folder is written under a hidden name beside its final place, which tells whose it is, and is
renamed when it is done.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_OURS = re.compile(r"(?P<pid>\d+)-\d+")
_copies = iter(range(2**62))


def name_of_partial(folder: Path) -> Path:
    """Returns a name for an unfinished folder, one that no other writer has."""
    return folder.parent / f".{folder.name}.partial-{os.getpid()}-{next(_copies)}"


def dispose_of_leftovers(folder: Path) -> None:
    """Deletes what writers of this folder left that are no longer alive."""
    start = f".{folder.name}.partial-"
    for path in folder.parent.iterdir():
        match = _OURS.fullmatch(path.name.removeprefix(start)) if path.name.startswith(start) else None
        if match and not _is_alive(int(match["pid"])):
            shutil.rmtree(path, ignore_errors=True)


def sync(folder: Path) -> None:
    """Waits until a folder's files are on the disk."""
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def put_in_place(partial: Path, folder: Path) -> None:
    """Gives a finished folder its final name; a folder that was there is deleted afterwards.

    Raises:
        OSError: Somebody else put a folder there meanwhile.
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
    except PermissionError:  # somebody else's process
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
