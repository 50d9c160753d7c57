"""RayPool: workers in processes of their own, on this machine or a cluster."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from workers.checkpoints.hub.parent_files import inspect_parent
from workers.errors import PreparationError, WorkerError, WorkInterruptedError
from workers.pools.job_actors import JobActors
from workers.pools.listening import listening
from workers.pools.ray_cluster import Call, Cluster, RemoteWorker, WorkerLostError
from workers.pools.resources import WorkerResources, divide
from workers.protocol.messages import (
    Assignment,
    Interrupted,
    Job,
    JobResult,
    Outcome,
    Workload,
    never,
)
from workers.protocol.outcomes import no_workers, timed_out, worker_broke, worker_lost

MOST_LOSSES = 3  # deaths in a row, while getting ready, until a slot is given up
PREPARATION_SECONDS = 3600.0  # parents may have to be downloaded
MOST_CLUSTERS = 3  # on which a job is tried, when Ray ends under it
RESTART_PAUSE = 5.0  # seconds between two tries to start Ray again


@dataclass(slots=True)
class _Slot:
    """One worker's place: the process in it, what was asked of it, and until when it may take."""

    worker: RemoteWorker
    call: Call | None = None
    assignment: Assignment | None = None  # None while it gets ready, and after a drop
    deadline: float = float("inf")
    losses: int = 0
    ready: bool = False


class RayPool:
    """A workforce of Ray actors.

    A worker that dies or hangs costs its assignment one attempt, and is replaced.  One thread calls
    `prepare`, `submit`, `next_outcome` and `drop`; jobs may come from any.  Ray is started or
    joined when it is first needed, and again when it has ended: what was out is given back as lost.

    Attributes:
        trouble: Why nothing moves for now; None otherwise.
    """

    def __init__(self, state_folder: Path, *, address: str | None = None) -> None:
        self._state_folder, self._address = state_folder, address
        self._cluster: Cluster | None = None
        self._home: Cluster | None = None  # where the slots' workers are
        self._restart: Future[Cluster] | None = None  # another Ray that is being started
        self.trouble: str | None = None
        self._workload: Workload | None = None
        self._share: WorkerResources | None = None
        self._slots: list[_Slot] = []
        self._queue: deque[Assignment] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._started = 0
        self._refusal: Exception | None = None  # why a worker that lives could not get ready
        self._connecting = threading.Lock()
        self._job_actors = JobActors()

    @property
    def slots(self) -> int:
        """How many workers there are; none before `prepare`.

        When all were given up it is one, which answers every assignment with why.
        """
        return len(self._slots) or int(self._workload is not None)

    @property
    def in_process(self) -> bool:
        """No: a worker's crash is its own."""
        return False

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes of the workers that are ready."""
        return tuple(slot.worker.pid for slot in self._slots if slot.ready and slot.worker.pid is not None)

    @property
    def cluster(self) -> Cluster:
        """The connection to Ray; a new one where the last has ended."""
        with self._connecting:
            if self._cluster is not None and self._cluster.loss is not None:
                self._cluster.close()
                self._cluster = None
            if self._cluster is None:
                self._cluster = Cluster(self._state_folder, self._address)
            return self._cluster

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Readies the workers, unless they are ready for this workload already.

        Raises:
            PreparationError: No worker could get ready; says why.
            WorkInterruptedError: `interrupted` said so; workers that were getting ready are killed.
        """
        self.drop()
        if self._has_lost_ray:
            self._give_back()
        if self._slots and self._workload == workload:
            return
        share = listening(lambda: self._divide(workload), interrupted)
        if share != self._share or any(slot.call is not None for slot in self._slots):
            self._dismiss()
        self._workload, self._share, self._home = workload, share, self.cluster
        self._restart = self.trouble = None
        while len(self._slots) < share.count:
            self._slots.append(_Slot(self._start()))
        for slot in self._slots:
            self._make_ready(slot)
        try:
            self._await_ready(interrupted)
        except BaseException:
            self._dismiss()
            self._workload = None
            raise

    def submit(self, assignment: Assignment) -> None:
        """Hands an assignment to a free worker, or queues it.

        Raises:
            PreparationError: `prepare` was never called.
        """
        if self._workload is None:
            raise PreparationError("workload", "no worker is ready", "call prepare first")
        self._queue.append(assignment)
        self._hand_out()
        if not self._slots and not self._has_lost_ray:
            self._give_up()

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Returns the next answer, or None; hands queued assignments to workers as they get free."""
        end = monotonic() + timeout
        while not self._outcomes:
            remaining = end - monotonic()
            self._settle(max(remaining, 0.0))
            if remaining <= 0:
                break
        return self._outcomes.popleft() if self._outcomes else None

    def drop(self) -> None:
        """Forgets all assignments; workers finish the ones they are at for nothing."""
        self._queue.clear()
        self._outcomes.clear()
        for slot in self._slots:
            slot.assignment = None

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Has a job done by a process kept for jobs, with the Hub's settings of this one.

        Raises:
            WorkerError: It could not be done, or not in the time that it may take.
            WorkInterruptedError: `interrupted` said so.
        """
        for _ in range(MOST_CLUSTERS):
            cluster = listening(lambda: self.cluster, interrupted)  # it may have to be started first
            try:
                return self._job_actors.run(cluster, job, interrupted)
            except WorkerError:
                if cluster.loss is None:
                    raise
        raise WorkerError("job", "Ray ended again and again", "look at its logs in /tmp/ray")

    def close(self) -> None:
        """Ends the workers, and Ray where this pool started it."""
        self.drop()
        if self._cluster is not None:
            self._dismiss()
            self._job_actors.dismiss(self._cluster)
            self._cluster.close()
        self._cluster, self._home, self._workload, self._restart, self.trouble = None, None, None, None, None

    @property
    def _has_lost_ray(self) -> bool:
        """Says whether the Ray on which the workers were has ended, and no other has taken its place."""
        return self._home is not None and self._home.loss is not None

    def _give_back(self) -> None:
        """Gives back everything that was out on a Ray that has ended."""
        why = str(self._home.loss) if self._home is not None else ""
        self.trouble = f"{why}; another Ray is being started"
        for slot in self._slots:
            if slot.assignment is not None:
                self._outcomes.append(worker_lost(slot.assignment, slot.worker.name, why))
        self._slots.clear()

    def _start_over(self, timeout: float) -> None:
        """Fills the slots anew once another Ray has started, which is tried for as long as it takes."""
        if self._restart is None:
            self._give_back()
            self._restart = Future()
            threading.Thread(target=self._start_again, args=(self._restart,), daemon=True).start()
        try:
            self._home = self._restart.result(timeout)
        except TimeoutError:
            return
        self._restart = self.trouble = None
        for _ in range(self._share.count if self._share is not None else 0):
            self._slots.append(_Slot(self._start()))
            self._make_ready(self._slots[-1])

    def _start_again(self, started: Future[Cluster]) -> None:
        while started is self._restart:  # else it is waited for no more
            try:
                started.set_result(self.cluster)
            except PreparationError as error:
                self.trouble = str(error)
                time.sleep(RESTART_PAUSE)
            else:
                return

    def _divide(self, workload: Workload) -> WorkerResources:
        cluster = self.cluster
        try:
            layouts = [inspect_parent(parent) for parent in workload.parents]
        except WorkerError as error:
            raise PreparationError(error.field, error.detail, error.remedy) from error
        return divide(workload, layouts, cpus=cluster.cpus, gpus=cluster.gpus, memory=cluster.memory)

    def _start(self) -> RemoteWorker:
        share = self._share
        if share is None:
            raise PreparationError("workload", "no worker is ready", "call prepare first")
        self._started += 1
        cpus = 0.0 if share.gpus else float(share.threads)
        return self._cluster_of_slots.start(
            f"worker {self._started}", cpus=cpus, gpus=share.gpus, threads=share.threads
        )

    @property
    def _cluster_of_slots(self) -> Cluster:
        return self._home if self._home is not None else self.cluster

    def _make_ready(self, slot: _Slot) -> None:
        slot.ready, slot.assignment = False, None
        slot.deadline = monotonic() + PREPARATION_SECONDS
        slot.call = self._cluster_of_slots.call(slot.worker, "prepare", self._workload)

    def _await_ready(self, interrupted: Interrupted) -> None:
        """Waits until every worker is ready or given up; a mistake of the workload ends it at once."""
        self._refusal = None
        while self._refusal is None and (self._has_lost_ray or any(not slot.ready for slot in self._slots)):
            if interrupted():
                raise WorkInterruptedError
            self._settle(0.5)
        if self._refusal is not None:
            raise self._refusal
        if not self._slots:
            raise PreparationError(
                "workers",
                "every worker's process ended while it got ready",
                "the machine is probably out of memory: use fewer workers or smaller parents",
            )

    def _hand_out(self) -> None:
        for slot in self._slots:
            if self._queue and slot.ready and slot.call is None:
                slot.assignment = self._queue.popleft()
                slot.deadline = monotonic() + slot.assignment.timeout
                slot.call = self._cluster_of_slots.call(slot.worker, "work", slot.assignment)

    def _settle(self, timeout: float) -> None:
        """Waits for one worker to answer, die or run out of time, and deals with it."""
        try:
            if self._has_lost_ray:
                self._start_over(timeout)
            else:
                self._settle_one(timeout)
        except WorkerLostError:  # Ray ended in between: the next look finds that
            time.sleep(min(timeout, 0.1))

    def _settle_one(self, timeout: float) -> None:
        waiting = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not waiting:
            time.sleep(timeout)
            return
        deadline = min(slot.deadline for slot in self._slots)
        done = self._cluster_of_slots.first_done(
            list(waiting), max(min(timeout, deadline - monotonic()), 0.0)
        )
        if done is not None:
            self._finish(waiting[done], done)
        for slot in list(self._slots):
            if monotonic() > slot.deadline:
                self._expire(slot)
        self._hand_out()

    def _finish(self, slot: _Slot, call: Call) -> None:
        assignment, slot.assignment = slot.assignment, None
        slot.call, slot.deadline = None, float("inf")
        try:
            answer = self._cluster_of_slots.result(call)
        except WorkerLostError as error:
            if assignment is not None:
                self._outcomes.append(worker_lost(assignment, slot.worker.name, str(error)))
            self._replace(slot)
        except Exception as error:  # noqa: BLE001 - whatever the worker raised
            if assignment is not None:
                self._outcomes.append(worker_broke(assignment, slot.worker.name, error))
            elif not slot.ready:
                self._refusal = error
                self._replace(slot)
        else:
            self._take(slot, assignment, answer)

    def _take(self, slot: _Slot, assignment: Assignment | None, answer: Any) -> None:  # noqa: ANN401
        """Takes what a worker answered: that it is ready, or an outcome."""
        if not slot.ready:
            slot.ready, slot.losses, slot.worker.pid = True, 0, int(answer)
        elif assignment is not None:
            self._outcomes.append(answer)

    def _expire(self, slot: _Slot) -> None:
        if slot.assignment is not None:
            self._outcomes.append(timed_out(slot.assignment, slot.worker.name))
        self._cluster_of_slots.kill(slot.worker)
        self._replace(slot)

    def _replace(self, slot: _Slot) -> None:
        """Fills a slot anew; one whose workers keep dying before they are ready is given up."""
        slot.losses = slot.losses + 1 if not slot.ready else 0
        if slot.losses >= MOST_LOSSES:
            self._slots.remove(slot)
            if not self._slots:
                self._give_up()
            return
        slot.worker = self._start()
        self._make_ready(slot)

    def _give_up(self) -> None:
        while self._queue:
            self._outcomes.append(no_workers(self._queue.popleft(), MOST_LOSSES, self._refusal))

    def _dismiss(self) -> None:
        for slot in self._slots:
            self._cluster_of_slots.kill(slot.worker)
        self._slots.clear()
