"""RayConnection: Ray, started or joined when it is first needed, and again when it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from workers.errors import PreparationError, WorkerError
from workers.pools.job_actors import JobActors
from workers.pools.listening import listening
from workers.pools.market import WorkerMarket
from workers.pools.ray_cluster import Cluster
from workers.protocol.messages import Interrupted, Job, JobResult

MOST_CLUSTERS = 3  # on which a job is tried, when Ray ends under it
RESTART_PAUSE = 5.0  # seconds between two tries to start Ray again


class RayConnection:
    """What all experiments and jobs of a controller share of Ray.  Any thread may use it.

    Attributes:
        market: The workers.
        trouble: Why nothing moves for now; None otherwise.
    """

    def __init__(self, connect: Callable[[], Cluster]) -> None:
        self._connect = connect
        self._cluster: Cluster | None = None
        self._connecting, self._restarting = threading.Lock(), threading.Lock()
        self._restart: Future[Cluster] | None = None  # another Ray that is being started
        self._job_actors = JobActors()
        self.market = WorkerMarket()
        self.trouble: str | None = None

    @property
    def cluster(self) -> Cluster:
        """The connection to Ray; a new one where the last has ended.

        Raises:
            PreparationError: There is none.
        """
        with self._connecting:
            if self._cluster is not None and self._cluster.loss is not None:
                self._cluster.close()
                self._cluster = None
            if self._cluster is None:
                self._cluster = self._connect()
            self.trouble = None
            return self._cluster

    def places(self, gpus_per_worker: float) -> int:
        """Returns how many workers there may be; one before Ray was needed."""
        cluster = self._cluster
        if cluster is None:
            return 1
        return max(int(cluster.gpus / gpus_per_worker) if cluster.gpus else cluster.cpus, 1)

    def lost(self, why: str) -> None:
        """Takes in that Ray has ended; it is started again for as long as it takes."""
        with self._restarting:
            if self._restart is None:
                self.trouble = f"{why}; another Ray is being started"
                self._restart = Future()
                threading.Thread(target=self._start_again, args=(self._restart,), daemon=True).start()

    def another(self, timeout: float) -> Cluster | None:
        """Returns the Ray that was started in the place of one that has ended, as soon as it is there."""
        with self._restarting:
            restart = self._restart
        if restart is None:
            return self._cluster
        try:
            return restart.result(timeout)
        except TimeoutError:
            return None

    def run_job(self, job: Job, interrupted: Interrupted) -> JobResult:
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
        """Ends Ray where it was started here, and all workers and jobs with it."""
        with self._restarting:
            self._restart = None
        with self.market.lock:
            self.market.clear()
        if self._cluster is not None:
            self._job_actors.dismiss(self._cluster)
            self._cluster.close()
        self._cluster = self.trouble = None

    def _start_again(self, started: Future[Cluster]) -> None:
        while started is self._restart:  # else it is waited for no more
            try:
                cluster = self.cluster
            except PreparationError as error:
                self.trouble = str(error)
                time.sleep(RESTART_PAUSE)
                continue
            with self._restarting:
                self._restart = None
            started.set_result(cluster)
            return
