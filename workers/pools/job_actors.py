"""JobActors: processes kept for jobs, as many as there are jobs at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from time import monotonic

from workers.errors import JobTimeoutError, WorkerError, WorkInterruptedError
from workers.pools.job_limits import seconds_for
from workers.pools.listening import GLANCE
from workers.pools.ray_cluster import Call, Cluster, RemoteWorker, WorkerLostError
from workers.protocol.messages import Job, JobResult

MOST_IDLE = 2  # processes kept for the next jobs


class JobActors:
    """Runs jobs beside each other, each in a long-lived process without a GPU.

    A process gets the Hub's settings of this one (`HF_*`) when it is started; it is started anew when they
    have changed.  One whose job is given up is killed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[RemoteWorker] = []
        self._busy: list[RemoteWorker] = []
        self._environment: Mapping[str, str] = {}
        self._started = 0
        self._home: Cluster | None = None  # where the processes are

    def run(self, cluster: Cluster, job: Job, interrupted: Callable[[], bool]) -> JobResult:
        """Has a job done.

        Raises:
            WorkerError: It could not be done.
            WorkInterruptedError: `interrupted` said so.
        """
        try:
            worker = self._take(cluster)
        except WorkerLostError as error:
            raise _ended(error) from error
        try:
            result: JobResult = self._answer(cluster, cluster.call(worker, "job", job), job, interrupted)
        except WorkerLostError as error:
            self._end(cluster, worker)
            raise _ended(error) from error
        except (WorkInterruptedError, JobTimeoutError):
            self._end(cluster, worker)
            raise
        except BaseException:
            self._give_back(cluster, worker)
            raise
        self._give_back(cluster, worker)
        return result

    def dismiss(self, cluster: Cluster) -> None:
        """Ends all processes."""
        with self._lock:
            workers = [*self._idle, *self._busy]
            self._idle, self._busy = [], []
        for worker in workers:
            cluster.kill(worker)

    def _answer(self, cluster: Cluster, call: Call, job: Job, interrupted: Callable[[], bool]) -> JobResult:
        seconds = seconds_for(job)
        end = monotonic() + seconds
        while cluster.first_done([call], GLANCE) is None:
            if interrupted():
                raise WorkInterruptedError
            if monotonic() > end:
                raise JobTimeoutError(seconds)
        answer: JobResult = cluster.result(call)
        return answer

    def _take(self, cluster: Cluster) -> RemoteWorker:
        environment = {name: value for name, value in os.environ.items() if name.startswith("HF_")}
        with self._lock:
            if cluster is not self._home:  # what was on another Ray has ended with it
                self._home, self._idle, self._busy = cluster, [], []
            outdated = self._idle if environment != self._environment else []
            if outdated:
                self._idle = []
            self._environment = environment
            worker = self._idle.pop() if self._idle else self._start(cluster)
            self._busy.append(worker)
        for other in outdated:
            cluster.kill(other)
        return worker

    def _start(self, cluster: Cluster) -> RemoteWorker:
        self._started += 1
        return cluster.start(
            f"job_actor {self._started}",
            cpus=0,
            gpus=0,
            threads=max(cluster.cpus // 2, 1),
            environment=self._environment,
        )

    def _give_back(self, cluster: Cluster, worker: RemoteWorker) -> None:
        """Keeps a process for the next job, unless enough are kept, or all are dismissed."""
        with self._lock:
            known = worker in self._busy
            self._busy = [other for other in self._busy if other is not worker]
            if known and len(self._idle) < MOST_IDLE:
                self._idle.append(worker)
                return
        cluster.kill(worker)

    def _end(self, cluster: Cluster, worker: RemoteWorker) -> None:
        with self._lock:
            self._busy = [other for other in self._busy if other is not worker]
        cluster.kill(worker)


def _ended(error: WorkerLostError) -> WorkerError:
    return WorkerError(
        "job",
        f"the process that did it ended ({str(error).splitlines()[0]})",
        "try again; the machine may be out of memory",
    )
