"""Runs: what ran where and when, what failed and what to do, and what happened last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.analysis.timeline import Timeline, timeline
from service.store.columns import work_done
from service.store.failure_groups import FailureGroup, failure_groups
from service.store.repository import Repository
from service.web.dashboard.event_words import candidate_of, in_words
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import Wanted, missing, render
from service.web.dependencies import Reading

MOST_BARS = 400
MOST_EVENTS = 40
LONGEST_SOUGHT = 100
EVENTS_BEHIND = 2_000  # ids among which an experiment's newest events are sought
WIDTH, LANE = 1000.0, 26.0  # units of the picture
router = APIRouter()


@dataclass(frozen=True, slots=True)
class DrawnBar:
    """A bar of the picture: merging first, then evaluating."""

    number: int
    x: float
    merge: float
    evaluate: float
    title: str
    failed: bool


class ToldEvent(NamedTuple):
    """An event in words, and the candidate that it is about."""

    at: datetime
    words: str
    candidate: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsContext(ExperimentPage):
    """What ran.

    Attributes:
        timeline: Of the newest candidates; None before anything ran.
        out: How many candidates are out on workers, or wait for one.
        events: The newest first, those that hold `sought`.
        sought: What the reader looks for in them.
    """

    timeline: Timeline | None
    failures: Sequence[FailureGroup]
    out: int
    events: Sequence[ToldEvent]
    sought: str = ""

    @property
    def height(self) -> float:
        """Of the picture."""
        return LANE * len(self.timeline.lanes) if self.timeline else 0.0

    def bars(self, lane: int) -> list[DrawnBar]:
        """Returns the bars of one lane."""
        if self.timeline is None:
            return []
        scale = WIDTH / self.timeline.seconds
        return [
            DrawnBar(
                bar.number,
                bar.start * scale,
                bar.merge * scale,
                max(bar.evaluate * scale, 0.5),
                f"candidate {bar.number}: merged in {bar.merge:.3g} s, evaluated in {bar.evaluate:.3g} s",
                bar.status == "failed",
            )
            for bar in self.timeline.lanes[lane].bars
        ]


@router.get("/runs")
def runs(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the workers' lanes, failures by their reason, and the newest events."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    counts = detail.progress.counts
    sought = wanted.get("log", "").strip()[:LONGEST_SOUGHT]
    page = RunsContext(
        experiment=detail,
        newest_event=newest,
        current="runs",
        timeline=timeline(work_done(repository.session, row.id, limit=MOST_BARS)),
        failures=failure_groups(repository.session, row.id),
        out=sum(count for status, count in counts.items() if status.value == "proposed"),
        events=_events(repository, row.id, newest, sought),
        sought=sought,
    )
    return render("runs.html", page)


def _events(repository: Repository, experiment_id: UUID, newest: int, sought: str) -> list[ToldEvent]:
    after = max(newest - EVENTS_BEHIND, 0)
    found = repository.events(experiment_id=experiment_id, after=after, limit=EVENTS_BEHIND)
    views = (reports.event_view(row) for row in reversed(found))
    told = (ToldEvent(view.created_at, in_words(view), candidate_of(view)) for view in views)
    text = sought.casefold()
    return list(islice((event for event in told if text in event.words.casefold()), MOST_EVENTS))
