"""Target: which tracker, and where it writes: `tensorboard:FOLDER`, `mlflow`, `wandb:ENTITY/PROJECT`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from service.client.errors import ClientError
from service.trackers.table import TRACKERS
from service.trackers.tracker import RunFacts, Tracker


class TrackerTargetError(ClientError):
    """A text names no tracker that can be used here."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which tracker, and where it writes.

    Attributes:
        kind: A key of the table.
        place: What stood behind the colon; folders are absolute.
    """

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}" if self.place else self.kind

    @property
    def key(self) -> str:
        """A file's name that is different for every target."""
        return f"{self.kind}-{sha256(self.place.encode()).hexdigest()[:8]}"

    def open(self, facts: RunFacts) -> Tracker:
        """Opens a run; imports the tool, and may ask its service."""
        entry = TRACKERS[self.kind]
        found: Tracker = getattr(import_module(entry.module), entry.name)(facts, self.place)
        return found


def read_target(text: str) -> Target:
    """Returns what a text names.

    Raises:
        TrackerTargetError: There is no such tracker, its package is not installed, or the place is missing.
    """
    kind, _, place = text.strip().partition(":")
    entry = TRACKERS.get(kind)
    if entry is None:
        raise TrackerTargetError(f"{text!r} names no tracker", f"there are: {', '.join(TRACKERS)}")
    if entry.needs_place and not place:
        raise TrackerTargetError(f"{text!r} does not say where", f"write {entry.place}")
    if find_spec(entry.package) is None:
        hint = f'install it with `pip install "evomerge[{entry.extra}]"`'
        raise TrackerTargetError(f"{kind} is not installed", hint)
    return Target(kind, str(Path(place).expanduser().absolute()) if entry.needs_place else place)


def read_targets(texts: Iterable[str], settings: str = "") -> list[Target]:
    """Returns the targets of options and of a setting (separated by commas), each once.

    Raises:
        TrackerTargetError: One of them cannot be used.
    """
    named = [*texts, *(text for text in settings.split(",") if text.strip())]
    return list(dict.fromkeys(read_target(text) for text in named))
