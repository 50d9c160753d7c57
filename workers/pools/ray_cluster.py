"""Cluster: Ray, as far as the pool needs it.  The only module that imports ray."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from workers.errors import JobTimeoutError, PreparationError
from workers.pools.actor import Worker
from workers.pools.gate import Gate
from workers.pools.listening import listening
from workers.protocol.messages import never

OBJECT_STORE_BYTES = 80_000_000  # only messages cross it
MOST_STARTS = 4
PAUSE = 1.0  # seconds before the second start; longer before each further one
GLANCE = 1.0  # seconds between two looks at whether Ray lives
ANSWER_SECONDS = 4.0  # in which a cluster of others says which of its machines live
LEAVE_SECONDS = 5.0  # in which those that use Ray let go of it before it is shut down
SHUTDOWN_SECONDS = 30.0
VITAL = ("raylet", "gcs_server")  # those of Ray's processes without which nothing moves
TOKEN_FILE = "ray-token"  # noqa: S105 - a name, not a token


class WorkerLostError(Exception):
    """A worker's process has ended, or all of Ray has."""


@dataclass(slots=True)
class RemoteWorker:
    """A worker in a process of its own."""

    name: str
    actor: Any
    pid: int | None = None  # known once it has got ready


@dataclass(frozen=True, slots=True)
class Call:
    """Something asked of a remote worker, whose answer is still to come."""

    reference: Any = field(hash=True)


class Cluster:
    """A connection to Ray: one started on this machine, on the loopback interface, or one at an address.

    A client of Ray can run code, so it is started with token authentication, without a
    dashboard.  The token is that of the environment, or one made for this controller.

    It watches over Ray.  Once Ray has ended, everything that was asked of it, and whatever is asked
    from then on, is a WorkerLostError; a further Cluster may be opened then.

    Attributes:
        worker_class: What Ray runs in each worker's process.
    """

    worker_class: ClassVar[type] = Worker

    def __init__(self, state_folder: Path, address: str | None = None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS")
        _set_environment(state_folder, local=self.address is None)
        self._ray = _import_ray()
        self._started = not self._ray.is_initialized()
        self._over, self._gate = threading.Event(), Gate()
        self._loss: str | None = None
        self._thread = threading.Thread(target=self._serve, name="evomerge-ray", daemon=True)
        self._connected: Future[None] = Future()
        if self._started:
            self._thread.start()
            self._connected.result()
        resources = self._ray.cluster_resources()
        self.cpus = max(int(resources.get("CPU", 1)), 1)
        self.gpus = int(resources.get("GPU", 0))
        self.memory = int(resources.get("memory", 0))

    @property
    def loss(self) -> str | None:
        """Why Ray can be used no more; None while it lives."""
        if self._loss is None and self._started and self.address is None and not self._over.is_set():
            self._loss = self._dead_process()
        return self._loss

    def _serve(self) -> None:
        """Connects, watches over Ray, and shuts it down.

        All on one thread that stays: Linux kills Ray's processes with the *thread* that started them
        (PR_SET_PDEATHSIG), and the one that asks for a cluster may be short-lived, such as a thread
        that answers a request.
        """
        try:
            self._connect()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._connected.set_exception(error)
            return
        self._connected.set_result(None)
        while not self._over.wait(GLANCE) and self.loss is None:
            if self.address is not None:
                self._loss = self._lost_machine()
        self._gate.shut(
            WorkerLostError(self._loss or "the connection to Ray is closed"), patience=LEAVE_SECONDS
        )
        self._ray.shutdown()

    def _dead_process(self) -> str | None:
        """Says which vital process of our own Ray has ended, if any."""
        node = self._ray._private.worker._global_node  # noqa: SLF001 - nothing public tells
        dead = [kind for kind, _ in node.dead_processes() if kind in VITAL] if node is not None else []
        return f"Ray's {dead[0]} has ended" if dead else None

    def _lost_machine(self) -> str | None:
        """Says whether a cluster of others has ended, or this machine is no part of it any more."""
        try:
            nodes = listening(self._ray.nodes, never, seconds=ANSWER_SECONDS)
            here = self._ray.get_runtime_context().get_node_id()
        except (JobTimeoutError, self._ray.exceptions.RayError) as error:
            return f"the Ray at {self.address} does not answer ({type(error).__name__})"
        alive = {node["NodeID"]: node["Alive"] for node in nodes}
        if not alive.get(here, any(alive.values())):
            return f"the Ray at {self.address} has lost this machine"
        return None

    def _connect(self) -> None:
        quiet: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "configure_logging": False,
        }
        # It warns that it leaves SIGTERM alone on this thread, which is as it should be.
        logging.getLogger("ray._private.worker").setLevel(logging.ERROR)
        where: dict[str, Any] = {"address": self.address}
        if self.address is None:
            where = {
                "address": "local",
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
            }
        self._init(where | quiet)

    def _init(self, options: Mapping[str, Any]) -> None:
        """Starts or joins Ray; on a busy machine its processes may take longer than it waits for them.

        Raises:
            PreparationError: It did not succeed, again and again.
        """
        for attempt in range(1, MOST_STARTS + 1):
            try:
                self._ray.init(**options)
            except Exception as error:
                self._ray.shutdown()
                if attempt == MOST_STARTS or isinstance(error, ValueError):
                    raise self._no_connection(error) from error
                self._over.wait(PAUSE * attempt)
            else:
                return

    def _no_connection(self, error: Exception) -> PreparationError:
        said = str(error).strip()
        cause = said.splitlines()[0] if said else type(error).__name__
        return PreparationError(
            "ray",
            f"no connection to {self.address or 'a Ray of our own'} ({cause})",
            "check RAY_ADDRESS and RAY_AUTH_TOKEN, or run with workers in this process (inline)",
        )

    def start(
        self,
        name: str,
        *,
        cpus: float,
        gpus: float,
        threads: int,
        environment: Mapping[str, str] | None = None,
    ) -> RemoteWorker:
        """Starts a worker's process; what is asked of it waits until it is up.

        Raises:
            WorkerLostError: Ray has ended.
        """
        with self._gate.entered():
            actor_class = self._ray.remote(self.worker_class)
            actor_class = actor_class.options(num_cpus=cpus, num_gpus=gpus, max_restarts=0)
            return RemoteWorker(
                name, actor_class.remote(name, threads=threads, environment=dict(environment or {}))
            )

    def call(self, worker: RemoteWorker, method: str, argument: object) -> Call:
        """Asks something of a worker, and does not wait.

        Raises:
            WorkerLostError: Ray has ended.
        """
        with self._gate.entered():
            return Call(getattr(worker.actor, method).remote(argument))

    def first_done(self, calls: Sequence[Call], timeout: float) -> Call | None:
        """Returns a call that was answered, or whose worker died; None after `timeout` seconds.

        Raises:
            WorkerLostError: Ray has ended.
        """
        by_reference = {call.reference: call for call in calls}
        with self._gate.entered():
            done, _ = self._ray.wait(list(by_reference), num_returns=1, timeout=min(timeout, GLANCE))
        return by_reference[done[0]] if done else None

    def result(self, call: Call) -> Any:  # noqa: ANN401 - whatever the method returns
        """Returns a call's answer, waiting for it; raises what the worker raised.

        Raises:
            WorkerLostError: The worker's process ended first.
        """
        try:
            with self._gate.entered():
                return self._ray.get(call.reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            raise WorkerLostError(str(error)) from None

    def kill(self, worker: RemoteWorker) -> None:
        """Ends a worker's process, whatever it is at; with Ray it has ended already."""
        with contextlib.suppress(WorkerLostError), self._gate.entered():
            self._ray.kill(worker.actor)
        if self.address is None and worker.pid is not None:
            # Ray asks the process to end; one that is stopped does not listen.
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the Ray that this object started, or the connection."""
        self._over.set()
        if self._started:
            self._thread.join(SHUTDOWN_SECONDS)


def _import_ray() -> Any:  # noqa: ANN401 - a module without types
    # Late, because ray reads its environment when it is imported.
    try:
        import ray
    except ImportError as error:
        raise PreparationError("ray", "is not installed", "pip install 'evomerge[ray]'") from error
    return ray


def _set_environment(state_folder: Path, *, local: bool) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # another cluster's owner may have decided otherwise
    if local:
        os.environ["RAY_AUTH_MODE"] = "token"
        # Despite its name, the one switch that keeps all of Ray's sockets on the loopback interface.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ and local:
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_token_file(state_folder))


def _token_file(state_folder: Path) -> Path:
    """Returns the file with this controller's token, made when there is none; only its owner can read it."""
    path = state_folder.resolve() / TOKEN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path
