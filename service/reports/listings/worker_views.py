"""What is shown of workers: who has how many, and what each is at."""

from __future__ import annotations

from datetime import datetime

from service.experiment.status import ExperimentStatus
from service.reports.views import View


class OutView(View):
    """A candidate that is on a worker, or waits for one that is handed it."""

    candidate: int
    split: str
    since: datetime


class HolderView(View):
    """An experiment that is under way, and its workers.

    Attributes:
        workers: How many it had a few seconds ago; None while no controller runs it, or it has just begun.
        controller: Host and process id of the controller that runs it.
        out: What is on its workers, the oldest first.
    """

    experiment: str
    status: ExperimentStatus
    workers: int | None
    controller: str | None
    out: list[OutView]


class WorkersView(View):
    """Who has the workers.

    Attributes:
        slots: How many assignments could be worked on at once.
        trouble: Why no worker works for now; None otherwise.
        items: Experiments under way; queued ones wait for workers.
    """

    slots: int
    trouble: str | None
    items: list[HolderView]
