"""Tracker: one run of a tracking tool, that shows one experiment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run is about.

    Attributes:
        experiment: Its id: the same experiment is always the same run.
        spec: With its defaults.
        first_step: The first that will be told; what a run has from it on was left by a crash.
        known_as: What the tracker called its run before; None the first time.
    """

    experiment: UUID
    name: str
    spec: Mapping[str, Any]
    first_step: int
    known_as: str | None


@dataclass(frozen=True, slots=True)
class Point:
    """Numbers of one moment.

    Attributes:
        step: How many candidates had settled.
        at: When it happened, UTC.
        values: By name: `search/OBJECTIVE`, `best`, `hypervolume` ...
    """

    step: int
    at: datetime
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunEnding:
    """How an experiment ended.

    Attributes:
        status: As the API names it.
        values: The winner's number and scores; empty where there is none.
        texts: Contents by file name: the winner's recipe and model card.
    """

    step: int
    status: str
    values: Mapping[str, float]
    texts: Mapping[str, str]


class Tracker(ABC):
    """Writes points into one run.

    Called by one thread, in the order of time.  The same points may be told again after a crash, and
    must not be doubled.  Any exception ends the tracker, and nothing else.
    """

    @property
    @abstractmethod
    def run(self) -> str:
        """What the run is called: given back in `RunFacts.known_as` after a restart."""

    @abstractmethod
    def log(self, points: list[Point]) -> None:
        """Writes points, so that they are kept when this returns."""

    @abstractmethod
    def end(self, ending: RunEnding) -> None:
        """Writes what the experiment found; it may still be extended, and then go on."""

    @abstractmethod
    def close(self) -> None:
        """Lets the run go; it may be taken up again."""
