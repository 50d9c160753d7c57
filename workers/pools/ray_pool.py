"""RayPool: workers in processes of their own, on this machine or a cluster."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from workers.checkpoints.hub.parent_files import inspect_parent
from workers.errors import PreparationError, WorkerError, WorkInterruptedError
from workers.pools.listening import listening
from workers.pools.market import Seat, Slot
from workers.pools.ray_cluster import Call, Cluster, WorkerLostError
from workers.pools.ray_connection import RayConnection
from workers.pools.resources import capacity_of, claim_of, divide
from workers.protocol.messages import Assignment, Interrupted, Job, JobResult, Outcome, Workload, never
from workers.protocol.outcomes import no_workers, timed_out, worker_broke, worker_lost

MOST_LOSSES = 3  # deaths in a row, while getting ready, until a slot is given up
PREPARATION_SECONDS = 3600.0  # parents may have to be downloaded
GLANCE = 0.1  # seconds between two looks for a worker that others let go

_numbers = itertools.count(1)


class RayPool:
    """A workforce of Ray actors: those that one experiment has of all that there are.

    A worker that dies or hangs costs its assignment one attempt, and is replaced.  One thread calls
    `prepare`, `submit`, `next_outcome`, `claim` and `drop`; jobs may come from any.  When Ray has ended,
    what was out is given back as lost, and the work goes on with another.

    Attributes:
        connection: To Ray, which all experiments share.
    """

    def __init__(
        self, state_folder: Path, *, address: str | None = None, connection: RayConnection | None = None
    ) -> None:
        self._state_folder = state_folder
        self.connection = connection or RayConnection(lambda: Cluster(state_folder, address))
        self._market, self._lock = self.connection.market, self.connection.market.lock
        self._home: Cluster | None = None  # where the workers are
        self._seat: Seat | None = None
        self._queue: deque[Assignment] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._given_up = 0  # slots
        self._refusal: Exception | None = None  # why a worker that lives could not get ready

    def for_experiment(self) -> RayPool:
        """Returns a pool that shares the workers with this one and all others that came of it."""
        return RayPool(self._state_folder, connection=self.connection)

    def places(self, gpus_per_worker: float) -> int:
        """Returns how many workers there may be in all; one before Ray was needed."""
        return self.connection.places(gpus_per_worker)

    @property
    def slots(self) -> int:
        """How many workers there would be if no other experiment had any; none before `prepare`.

        When all were given up it is one, which answers every assignment with why.
        """
        return max(self._seat.claim.maximum, 1) if self._seat is not None else 0

    @property
    def held(self) -> int:
        """How many workers there are now."""
        with self._lock:
            return len(self._slots)

    @property
    def in_process(self) -> bool:
        """No: a worker's crash is its own."""
        return False

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes of the workers that are ready."""
        with self._lock:
            return tuple(s.worker.pid for s in self._slots if s.ready and s.worker.pid is not None)

    @property
    def cluster(self) -> Cluster:
        """The connection to Ray; a new one where the last has ended."""
        return self.connection.cluster

    @property
    def trouble(self) -> str | None:
        """Why nothing moves for now; None otherwise."""
        return self.connection.trouble

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Readies workers, unless some are ready for this workload already; waits for one at least.

        Raises:
            PreparationError: No worker could get ready; says why.
            WorkInterruptedError: `interrupted` said so; workers that were getting ready are killed.
        """
        self.drop()
        if self._has_lost_ray:
            self._give_back()
        if self._seat is not None and self._seat.workload == workload and self.held:
            return
        self._leave()
        seat = listening(lambda: self._seat_for(workload), interrupted)
        self._home, self._given_up = self.cluster, 0
        with self._lock:
            self._market.capacity = capacity_of(self._home, workload)
            self._market.join(seat)
            self._seat = seat
        try:
            self._await_ready(interrupted)
        except BaseException:
            self._leave()
            raise

    def claim(self, wanted: int) -> int:
        """Says how many assignments there are to be worked on; returns how many may be out now."""
        if self._seat is None:
            return 0
        with self._lock:
            self._seat.claim = replace(self._seat.claim, wanted=wanted)
            return min(self._market.target(self._seat), wanted) if self._seat.claim.maximum else 1

    def submit(self, assignment: Assignment) -> None:
        """Hands an assignment to a free worker, or queues it.

        Raises:
            PreparationError: `prepare` was never called.
        """
        if self._seat is None:
            raise PreparationError("workload", "no worker is ready", "call prepare first")
        self._queue.append(assignment)
        with self._lock:
            self._claim_queued()
            self._hand_out()
            if not self._seat.claim.maximum and not self._has_lost_ray:
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
        with self._lock:
            for slot in self._slots:
                slot.assignment = None

    def release(self) -> None:
        """Lets the workers go, ready as they are, to other experiments."""
        self.drop()
        self._leave()

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Has a job done by a process kept for jobs, with the Hub's settings of this one.

        Raises:
            WorkerError: It could not be done, or not in the time that it may take.
            WorkInterruptedError: `interrupted` said so.
        """
        return self.connection.run_job(job, interrupted)

    def close(self) -> None:
        """Ends the workers, those of other experiments too, and Ray where it was started here."""
        self.release()
        self.connection.close()
        self._home = None

    @property
    def _slots(self) -> list[Slot]:
        return self._market.of(self._seat) if self._seat is not None else []

    @property
    def _has_lost_ray(self) -> bool:
        """Says whether the Ray on which the workers were has ended, and no other has taken its place."""
        return self._home is not None and self._home.loss is not None

    def _seat_for(self, workload: Workload) -> Seat:
        cluster = self.cluster
        try:
            layouts = [inspect_parent(parent) for parent in workload.parents]
        except WorkerError as error:
            raise PreparationError(error.field, error.detail, error.remedy) from error
        shape = divide(workload, layouts, cpus=cluster.cpus, gpus=cluster.gpus, memory=cluster.memory)
        return Seat(workload, shape, claim_of(workload, layouts, shape, key=next(_numbers)))

    def _leave(self) -> None:
        with self._lock:
            if self._seat is not None:
                self._market.leave(self._seat)
            self._seat = None

    def _give_back(self) -> None:
        """Gives back everything that was out on a Ray that has ended."""
        why = str(self._home.loss) if self._home is not None else ""
        self.connection.lost(why)
        with self._lock:
            for slot in self._slots:
                if slot.assignment is not None:
                    self._outcomes.append(worker_lost(slot.assignment, slot.worker.name, why))
                self._market.forget(slot)

    def _start_over(self, timeout: float) -> None:
        """Goes on with another Ray once it has started."""
        if self._slots:
            self._give_back()
        self._home = self.connection.another(timeout) or self._home

    def _start(self) -> Slot:
        """Starts a worker's process."""
        seat = self._seated
        shape, number = seat.shape, next(_numbers)
        cpus = 0.0 if shape.gpus else float(shape.threads)
        worker = self._cluster_of_slots.start(
            f"worker {number}", cpus=cpus, gpus=shape.gpus, threads=shape.threads
        )
        return Slot(worker, self._cluster_of_slots, shape, seat.claim.each, seat)

    @property
    def _seated(self) -> Seat:
        if self._seat is None:
            raise PreparationError("workload", "no worker is ready", "call prepare first")
        return self._seat

    @property
    def _cluster_of_slots(self) -> Cluster:
        return self._home if self._home is not None else self.cluster

    def _make_ready(self, slot: Slot) -> None:
        slot.ready, slot.assignment, slot.workload = False, None, self._seated.workload
        slot.since = monotonic()
        slot.deadline = slot.since + PREPARATION_SECONDS
        slot.call = slot.home.call(slot.worker, "prepare", slot.workload)

    def _fill(self) -> None:
        """Takes the workers that this experiment should have, as far as they are to be had."""
        with self._lock:
            if self._seat is None or self._has_lost_ray:
                return
            while (slot := self._market.take(self._seat, self._start)) is not None:
                if not slot.ready or slot.workload != self._seat.workload:
                    self._make_ready(slot)

    def _await_ready(self, interrupted: Interrupted) -> None:
        """Waits until every worker is ready or given up; a mistake of the workload ends it at once."""
        self._refusal = None
        while self._refusal is None and not self._is_ready():
            if interrupted():
                raise WorkInterruptedError
            self._settle(GLANCE)
        if self._refusal is not None:
            raise self._refusal
        if not self.held:
            raise PreparationError(
                "workers",
                "every worker's process ended while it got ready",
                "the machine is probably out of memory: use fewer workers or smaller parents",
            )

    def _is_ready(self) -> bool:
        """Says whether all workers that there are for now are ready, or all were given up."""
        if self._has_lost_ray:
            return False
        with self._lock:
            slots = self._slots
            return all(slot.ready for slot in slots) and (bool(slots) or not self._seated.claim.maximum)

    def _claim_queued(self) -> None:
        """Sees to it that what is queued counts as wanted."""
        seat = self._seated
        needed = len(self._queue) + sum(slot.assignment is not None for slot in self._slots)
        if needed > seat.claim.wanted:
            seat.claim = replace(seat.claim, wanted=needed)

    def _hand_out(self) -> None:
        seat = self._seat
        if seat is None or not self._queue:
            return
        slots = self._slots
        room = self._market.target(seat) - sum(slot.ready and slot.call is not None for slot in slots)
        for slot in [slot for slot in slots if slot.is_idle][: max(room, 0)]:
            if not self._queue:
                break
            slot.assignment = self._queue.popleft()
            slot.deadline = monotonic() + slot.assignment.timeout
            slot.call = slot.home.call(slot.worker, "work", slot.assignment)

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
        self._fill()
        with self._lock:
            self._hand_out()
            waiting = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not waiting:
            time.sleep(min(timeout, GLANCE))
            return
        patience = min(timeout, min(slot.deadline for slot in waiting.values()) - monotonic())
        done = self._cluster_of_slots.first_done(list(waiting), max(patience, 0.0))
        with self._lock:
            if done is not None:
                self._finish(waiting[done], done)
            for slot in self._slots:
                if monotonic() > slot.deadline:
                    self._expire(slot)
            self._hand_out()

    def _finish(self, slot: Slot, call: Call) -> None:
        assignment, slot.assignment = slot.assignment, None
        slot.call, slot.deadline = None, float("inf")
        try:
            answer = slot.home.result(call)
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
            slot.since = monotonic()

    def _take(self, slot: Slot, assignment: Assignment | None, answer: Any) -> None:  # noqa: ANN401
        """Takes what a worker answered: that it is ready, or an outcome."""
        if not slot.ready:
            slot.ready, slot.losses, slot.worker.pid = True, 0, int(answer)
            self._seated.switch_seconds = monotonic() - slot.since
        elif assignment is not None:
            self._outcomes.append(answer)

    def _expire(self, slot: Slot) -> None:
        if slot.assignment is not None:
            self._outcomes.append(timed_out(slot.assignment, slot.worker.name))
        slot.home.kill(slot.worker)
        self._replace(slot)

    def _replace(self, slot: Slot) -> None:
        """Fills a slot anew; one whose workers keep dying before they are ready is given up."""
        slot.losses = slot.losses + 1 if not slot.ready else 0
        if slot.losses >= MOST_LOSSES:
            self._market.forget(slot)
            self._lose_place()
            return
        slot.worker = self._start().worker
        self._make_ready(slot)

    def _lose_place(self) -> None:
        """Wants one worker less from now on."""
        seat = self._seated
        maximum = seat.claim.maximum - 1
        seat.claim = replace(seat.claim, maximum=maximum, minimum=min(seat.claim.minimum, maximum))
        if not maximum:
            self._give_up()

    def _give_up(self) -> None:
        while self._queue:
            self._outcomes.append(no_workers(self._queue.popleft(), MOST_LOSSES, self._refusal))
