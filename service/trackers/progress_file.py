"""ProgressFile: how far a target has been told of an experiment, beside what the home keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

FOLDER = "trackers"  # in the home


class Told(BaseModel):
    """How far a target has been told.

    Attributes:
        event: The last event that it knows of.
        step: How many candidates had settled.
        best: Highest weighted mean so far.
        run: What the tracker called its run; None before the first.
        ended: It was told how the experiment ended.
    """

    event: int = 0
    step: int = 0
    best: float | None = None
    run: str | None = None
    ended: bool = False


class ProgressFile:
    """A small file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Told:
        """Returns what it says; nothing was told where there is none."""
        try:
            return Told.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Told()

    def write(self, told: Told) -> None:
        """Replaces what it says."""
        draft = self.path.with_suffix(".new")
        draft.write_text(told.model_dump_json(), encoding="utf-8")
        draft.replace(self.path)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Yields whether this process is the only one that tells the target of this experiment."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def folder_of(home: Path, experiment: UUID) -> Path:
    """Returns where the progress files of an experiment are."""
    return home / FOLDER / experiment.hex


def is_unfinished(home: Path, experiment: UUID) -> bool:
    """Says whether a target was not told how an experiment ended."""
    try:
        return any(not ProgressFile(p).read().ended for p in folder_of(home, experiment).glob("*.json"))
    except (OSError, ValidationError):
        return False
