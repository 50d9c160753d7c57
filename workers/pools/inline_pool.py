"""InlinePool: one worker in this process, on one thread.  For tests and laptops."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from queue import Empty, Queue
from time import monotonic
from uuid import UUID

from workers.errors import PreparationError
from workers.pools.actor import Worker
from workers.protocol.messages import Assignment, Job, JobResult, Outcome, Workload
from workers.protocol.outcomes import key_of, timed_out

NAME = "inline"
GLANCE = 0.1  # seconds between two looks at whether the work hangs


@dataclass(slots=True)
class _Lane:
    """A worker, its thread and its queue.  When its work hangs it is abandoned: threads cannot be killed."""

    worker: Worker
    assignments: Queue[Assignment | None] = field(default_factory=Queue)
    at_work: tuple[Assignment, float] | None = None  # and since when


class InlinePool:
    """A workforce of one, in this process.

    A crash of the worker is a crash of the controller; Ray's workers are processes of their own.  One
    thread calls `prepare`, `submit`, `next_outcome` and `drop`; jobs may come from any.
    """

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads
        self._workload: Workload | None = None
        self._lane: _Lane | None = None
        self._under_way: dict[tuple[UUID, int], Assignment] = {}
        self._outcomes: Queue[tuple[_Lane, Outcome]] = Queue()
        self._clerk = Worker(f"{NAME} job_actor", threads=threads)
        self._jobs = threading.Lock()

    @property
    def slots(self) -> int:
        """One."""
        return 1

    @property
    def in_process(self) -> bool:
        """Yes."""
        return True

    def prepare(self, workload: Workload) -> None:
        """Readies the worker, unless it is ready for this workload already."""
        if self._lane is not None and self._workload == workload:
            return
        self.close()
        self._open_lane(workload)

    def submit(self, assignment: Assignment) -> None:
        """Queues an assignment.

        Raises:
            PreparationError: `prepare` was never called.
        """
        if self._lane is None:
            raise PreparationError("workload", "no worker is ready", "call prepare first")
        self._under_way[key_of(assignment)] = assignment
        self._lane.assignments.put(assignment)

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Returns the next answer; answers to dropped assignments are passed over."""
        end = monotonic() + timeout
        while True:
            hanging = self._hanging()
            if hanging is not None:
                return self._abandon(hanging)
            remaining = max(end - monotonic(), 0.0)
            try:
                lane, outcome = self._outcomes.get(timeout=min(remaining, GLANCE))
            except Empty:
                if remaining <= GLANCE:
                    return None
                continue
            if lane is self._lane and self._under_way.pop(key_of(outcome), None) is not None:
                return outcome

    def drop(self) -> None:
        """Forgets the assignments under way; the one at work is finished for nothing."""
        self._under_way.clear()

    def run_job(self, job: Job) -> JobResult:
        """Does an job in the calling thread, one at a time."""
        with self._jobs:
            return self._clerk.job(job)

    def close(self) -> None:
        """Ends the thread after what it is at."""
        self.drop()
        if self._lane is not None:
            self._lane.assignments.put(None)
        self._lane, self._workload = None, None

    def _open_lane(self, workload: Workload) -> None:
        lane = _Lane(Worker(NAME, threads=self._threads))
        lane.worker.prepare(workload)
        threading.Thread(target=self._work, args=(lane,), name="evomerge-worker", daemon=True).start()
        self._lane, self._workload = lane, workload

    def _work(self, lane: _Lane) -> None:
        while (assignment := lane.assignments.get()) is not None:
            if key_of(assignment) not in self._under_way:
                continue
            started = monotonic()
            lane.at_work = (assignment, started)
            outcome = lane.worker.work(assignment)
            lane.at_work = None
            if monotonic() - started > assignment.timeout:
                outcome = timed_out(assignment, NAME)  # as with Ray, where it would have been killed
            self._outcomes.put((lane, outcome))

    def _hanging(self) -> Assignment | None:
        at_work = self._lane.at_work if self._lane is not None else None
        if at_work is None or monotonic() - at_work[1] <= at_work[0].timeout:
            return None
        return self._under_way.get(key_of(at_work[0]))

    def _abandon(self, assignment: Assignment) -> Outcome:
        """Gives up an assignment that hangs, and opens another lane for what is queued behind it."""
        del self._under_way[key_of(assignment)]
        waiting, workload = list(self._under_way.values()), self._workload
        if workload is not None:
            self.close()
            self._open_lane(workload)
        for other in waiting:
            self.submit(other)
        return timed_out(assignment, NAME)
