"""SoleWorkforce: what a workforce answers that serves one experiment and does no jobs."""

from __future__ import annotations

from typing import Self

from workers.errors import PreparationError
from workers.protocol.messages import Interrupted, Job, JobResult, Workload, never


class SoleWorkforce:
    """The part of `Workforce` that follows where all slots belong to one experiment.

    Attributes:
        slots: How many assignments may be out at once.
    """

    slots: int = 1
    in_process: bool = False
    trouble: str | None = None

    @property
    def held(self) -> int:
        """All slots: no other experiment is there."""
        return self.slots

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Has nothing to ready."""

    def for_experiment(self) -> Self:
        """Returns itself."""
        return self

    def places(self, gpus_per_worker: float) -> int:  # noqa: ARG002
        """One experiment."""
        return 1

    def claim(self, wanted: int) -> int:  # noqa: ARG002
        """Returns the slots."""
        return self.slots

    def drop(self) -> None:
        """Has nothing to forget."""

    def release(self) -> None:
        """Forgets what is out."""
        self.drop()

    def close(self) -> None:
        """Forgets what is out."""
        self.drop()

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:  # noqa: ARG002
        """Refuses every job.

        Raises:
            PreparationError: Always.
        """
        kind = type(job).__name__
        raise PreparationError("job", f"{type(self).__name__} does no {kind}", "give it to a pool of workers")
