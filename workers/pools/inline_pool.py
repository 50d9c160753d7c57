"""InlinePool: one worker in this process, on one thread.  For tests and laptops."""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, Queue
from time import monotonic
from uuid import UUID

from workers.errors import PreparationError
from workers.pools.actor import Worker
from workers.pools.job_limits import seconds_for
from workers.pools.listening import await_done, listening, take_turn
from workers.protocol.messages import (
    Assignment,
    Interrupted,
    Job,
    JobResult,
    Outcome,
    Workload,
    never,
)
from workers.protocol.outcomes import key_of, no_workers, timed_out

NAME = "inline"
LEFT_OVER_SECONDS = 60.0  # that a worker waits for one that was given up while it loaded parents
GLANCE = 0.1  # seconds between two looks at whether the work hangs


@dataclass(slots=True)
class _Lane:
    """A worker, its thread and its queue.  When its work hangs it is abandoned: threads cannot be killed."""

    worker: Worker
    ready: Future[None] = field(default_factory=Future)
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
        self._preparing = threading.Lock()  # there is memory for one experiment's parents
        self._turns: defaultdict[type[Job], threading.Lock] = defaultdict(threading.Lock)

    @property
    def slots(self) -> int:
        """One."""
        return 1

    @property
    def held(self) -> int:
        """One, once it was asked to get ready."""
        return int(self._lane is not None)

    def for_experiment(self) -> InlinePool:
        """Returns itself: one experiment at a time has its worker."""
        return self

    def places(self, gpus_per_worker: float) -> int:  # noqa: ARG002 - a share of a GPU is one worker all the same
        """One."""
        return 1

    def claim(self, wanted: int) -> int:
        """One, for whatever there is to do."""
        return min(wanted, 1)

    @property
    def in_process(self) -> bool:
        """Yes."""
        return True

    @property
    def trouble(self) -> str | None:
        """None: a worker of this process is here for as long as the process is."""
        return None

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Readies the worker, unless it is ready for this workload already.

        Raises:
            PreparationError: It could not get ready; says why.
            WorkInterruptedError: `interrupted` said so.
        """
        if self._lane is not None and self._workload == workload:
            return
        self.close()
        lane = self._open_lane(workload)
        try:
            await_done(lane.ready, interrupted)
            lane.ready.result()
        except BaseException:
            self.close()
            raise

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

    def release(self) -> None:
        """Forgets the assignments under way; the worker stays ready."""
        self.drop()

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Does a job on a thread of its own: beside those of other kinds, after those of its kind.

        Raises:
            WorkerError: It could not be done, or not in the time that it may take.
            WorkInterruptedError: `interrupted` said so.
        """
        seconds, kind = seconds_for(job), type(job)
        turn = self._turns[kind]
        take_turn(turn, interrupted, seconds=seconds)
        worker = Worker(f"{NAME} job", threads=self._threads)
        try:
            return listening(lambda: worker.job(job), interrupted, seconds=seconds)
        finally:
            turn.release()

    def close(self) -> None:
        """Ends the thread after what it is at."""
        self.drop()
        if self._lane is not None:
            self._lane.assignments.put(None)
        self._lane, self._workload = None, None

    def _open_lane(self, workload: Workload) -> _Lane:
        lane = _Lane(Worker(NAME, threads=self._threads))
        self._lane, self._workload = lane, workload
        threading.Thread(
            target=self._work, args=(lane, workload), name="evomerge-worker", daemon=True
        ).start()
        return lane

    def _get_ready(self, lane: _Lane, workload: Workload) -> None:
        mine = self._preparing.acquire(timeout=LEFT_OVER_SECONDS)
        try:
            if lane is self._lane:  # else it was given up while it waited
                lane.worker.prepare(workload)
        finally:
            if mine:
                self._preparing.release()

    def _work(self, lane: _Lane, workload: Workload) -> None:
        refusal = None
        try:
            self._get_ready(lane, workload)
            lane.ready.set_result(None)
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits, or told of every candidate
            refusal = error
            lane.ready.set_exception(error)
        while (assignment := lane.assignments.get()) is not None:
            if key_of(assignment) not in self._under_way:
                continue
            if refusal is not None:
                self._outcomes.put((lane, no_workers(assignment, 1, refusal)))
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
