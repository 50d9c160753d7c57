"""Workers: which experiment has how many, what each is at, and what the controller's machine has left."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psutil
from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.experiment.status import ExperimentStatus
from service.reports import experiments as reports
from service.reports.analysis.timeline import Timeline, timeline
from service.reports.views import ExperimentView
from service.store.columns import work_done
from service.store.journaling.attempts import Out, out_now
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.installation.gpus import Gpu, gpus
from service.web.dashboard.rendering import render
from service.web.dependencies import Reading, ServicesHere

MOST_BARS = 200  # of the newest candidates, from which it is told how busy workers were
MOST_OUT = 50
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Machine:
    """The controller's machine now; memory in bytes, the load is the mean of the last minute."""

    name: str
    cores: int
    load: float
    memory_used: int
    memory: int
    gpus: Sequence[Gpu]


@dataclass(frozen=True, slots=True)
class Holder:
    """An experiment that is under way, and its workers.

    Attributes:
        timeline: Of its newest candidates; None before any came back.
        out: What is on its workers or waits for them, the oldest first.
        out_total: How much that is.
    """

    experiment: ExperimentView
    timeline: Timeline | None
    out: Sequence[Out]
    out_total: int

    @property
    def oldest(self) -> datetime | None:
        """Since when the oldest of what is out is."""
        return self.out[0].started_at if self.out else None


@dataclass(frozen=True, slots=True)
class WorkersContext:
    """The page of the workers.

    Attributes:
        waiting: Experiments that wait for workers.
        limit: How many experiments this controller runs at once.
        trouble: Why the workers are away; None where they are not.
    """

    holders: Sequence[Holder]
    waiting: Sequence[ExperimentView]
    limit: int
    trouble: str | None
    machine: Machine
    twin: str = "/metrics"

    @property
    def workers(self) -> int:
        """Of all experiments together."""
        return sum(holder.experiment.workers or 0 for holder in self.holders)

    def share(self, holder: Holder) -> float:
        """Returns the part of all workers that one experiment has."""
        return (holder.experiment.workers or 0) / self.workers if self.workers else 0.0


@router.get("/workers")
def workers(repository: Reading, services: ServicesHere) -> HTMLResponse:
    """Shows who has which workers, and who waits for some."""
    rows = repository.experiments_under_way()
    running = [row for row in rows if row.status is not ExperimentStatus.QUEUED]
    waiting = [row for row in rows if row.status is ExperimentStatus.QUEUED]
    page = WorkersContext(
        holders=[_holder(repository, row) for row in running],
        waiting=[reports.experiment_view(repository, row) for row in waiting],
        limit=services.runner.limit,
        trouble=services.workforce.trouble,
        machine=_machine(),
    )
    return render("workers.html", page)


def _holder(repository: Repository, row: ExperimentRow) -> Holder:
    found, total = out_now(repository.session, row.id, limit=MOST_OUT)
    done = timeline(work_done(repository.session, row.id, limit=MOST_BARS))
    return Holder(reports.experiment_view(repository, row), done, found, total)


def _machine() -> Machine:
    memory = psutil.virtual_memory()
    return Machine(
        socket.gethostname(),
        psutil.cpu_count() or 1,
        psutil.getloadavg()[0],
        memory.total - memory.available,
        memory.total,
        gpus(),
    )
