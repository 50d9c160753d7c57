"""What crashes leave of exports is deleted once it is certain that no writer goes on with it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from service.exports.janitor import Janitor
from service.settings import Settings
from service.store.database import Database
from tests.databases import sqlite_database, sqlite_url
from workers.checkpoints.writing.leftovers import DAY

__all__ = ["sqlite_database", "sqlite_url"]


def left(home: Path, name: str, days: float) -> Path:
    """An unfinished folder that was touched so many days ago."""
    folder = home / "exports" / name
    folder.mkdir(parents=True)
    file = folder / "model.safetensors"
    file.write_bytes(b"half of it")
    for path in (file, folder):
        os.utime(path, (time.time() - days * DAY,) * 2)
    return folder


@pytest.mark.parametrize(
    ("name", "days", "kept"),
    [
        (".merged.partial-4711-0", 2, False),
        (".merged.partial-4711-0", 0.5, True),  # another machine may be at it
        (".merged.partial-merge", 2, True),  # the next attempt goes on with it
        (".merged.partial-merge", 8, False),
        (".merged.gguf.partial", 2, False),
        ("merged", 100, True),
        (".hidden", 100, True),
    ],
)
def test_only_what_is_unfinished_and_old_is_deleted(
    sqlite_database: Database, tmp_path: Path, name: str, days: float, *, kept: bool
) -> None:
    folder = left(tmp_path, name, days)
    assert not Janitor(sqlite_database, Settings(home=tmp_path)).run_next()
    assert folder.exists() is kept


def test_a_folder_that_a_writer_has_locked_stays(sqlite_database: Database, tmp_path: Path) -> None:
    folder = left(tmp_path, ".merged.partial-merge", 30)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    Janitor(sqlite_database, Settings(home=tmp_path)).run_next()
    os.close(lock)
    assert folder.exists()


def test_a_home_without_exports_is_swept_too(sqlite_database: Database, tmp_path: Path) -> None:
    assert not Janitor(sqlite_database, Settings(home=tmp_path / "none")).run_next()
