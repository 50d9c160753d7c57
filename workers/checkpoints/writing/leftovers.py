"""Leftovers: unfinished folders whose writers have ended, so that crashes do not fill the disk."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

DAY = 86_400.0
UNTOUCHED = DAY  # seconds, after which what is begun anew is left over
RESUMABLE = 7 * DAY  # a merge that the next attempt would go on with is kept longer
_UNFINISHED = re.compile(r"\..+\.(?:partial-(?:\d+-\d+|(?P<resumable>merge))|gguf\.partial)")


def dispose_of_abandoned(parent: Path) -> list[Path]:
    """Deletes, and returns, what lies unfinished in a folder and has long not been touched.

    Writers may be on other machines that share the folder, so that its age counts, and no process id.
    """
    gone = list(_abandoned(parent))
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return gone


def _abandoned(parent: Path) -> Iterator[Path]:
    if not parent.is_dir():
        return
    for path in sorted(parent.iterdir()):
        match = _UNFINISHED.fullmatch(path.name)
        if match is None or path.is_symlink():
            continue
        patience = RESUMABLE if match["resumable"] else UNTOUCHED
        if time.time() - _last_touched(path) > patience and not _is_locked(path):
            yield path


def _last_touched(path: Path) -> float:
    return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))


def _is_locked(path: Path) -> bool:
    """Says whether a writer of this machine has it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
