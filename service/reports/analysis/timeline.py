"""What ran where: one lane per worker, a bar per candidate, and how much of the time nothing ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.store.columns import Work


@dataclass(frozen=True, slots=True)
class Bar:
    """A candidate's stay on a worker; times in seconds since the timeline begins."""

    number: int
    status: str
    start: float
    merge: float
    evaluate: float

    @property
    def end(self) -> float:
        """When it was settled."""
        return self.start + self.merge + self.evaluate


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker.

    Attributes:
        busy: Share of the timeline in which it merged or evaluated.
    """

    worker: str
    bars: tuple[Bar, ...]
    busy: float

    @property
    def merge(self) -> float:
        """Mean seconds of a merge."""
        return sum(bar.merge for bar in self.bars) / len(self.bars)

    @property
    def evaluate(self) -> float:
        """Mean seconds of an evaluation."""
        return sum(bar.evaluate for bar in self.bars) / len(self.bars)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest candidates, by worker.

    Attributes:
        begin: Of the first bar.
        seconds: From the first bar's begin to the last one's end.
    """

    begin: datetime
    seconds: float
    lanes: tuple[Lane, ...]

    @property
    def busy(self) -> float:
        """Share of all workers' time in which they merged or evaluated."""
        return sum(lane.busy for lane in self.lanes) / len(self.lanes)


def timeline(works: Sequence[Work]) -> Timeline | None:
    """Returns the lanes of what workers did; None where they did nothing yet."""
    done = [work for work in works if work.worker and work.merge + work.evaluate > 0]
    if not done:
        return None
    begin = min(work.settled_at - _taken(work) for work in done)
    end = max(work.settled_at for work in done)
    seconds = max((end - begin).total_seconds(), 1e-9)
    names = sorted({work.worker for work in done if work.worker})
    lanes = tuple(
        _lane(name, [work for work in done if work.worker == name], begin, seconds) for name in names
    )
    return Timeline(begin, seconds, lanes)


def _lane(name: str, works: Sequence[Work], begin: datetime, seconds: float) -> Lane:
    bars = tuple(
        Bar(work.number, work.status, (work.settled_at - _taken(work) - begin).total_seconds(),
            work.merge, work.evaluate)
        for work in sorted(works, key=lambda work: work.settled_at)
    )  # fmt: skip
    return Lane(name, bars, min(sum(bar.merge + bar.evaluate for bar in bars) / seconds, 1.0))


def _taken(work: Work) -> timedelta:
    return timedelta(seconds=work.merge + work.evaluate)
