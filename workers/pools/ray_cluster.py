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
from typing import Any

from workers.errors import PreparationError
from workers.pools.actor import Worker

OBJECT_STORE_BYTES = 80_000_000  # only messages cross it
MOST_STARTS = 4
PAUSE = 1.0  # seconds before the second start; longer before each further one
TOKEN_FILE = "ray-token"  # noqa: S105 - a name, not a token


class WorkerLostError(Exception):
    """A worker's process has ended."""


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
    """

    def __init__(self, state_folder: Path, address: str | None = None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS")
        _set_environment(state_folder, local=self.address is None)
        self._ray = _import_ray()
        self._started = not self._ray.is_initialized()
        self._over = threading.Event()
        if self._started:
            self._connect_for_good()
        resources = self._ray.cluster_resources()
        self.cpus = max(int(resources.get("CPU", 1)), 1)
        self.gpus = int(resources.get("GPU", 0))
        self.memory = int(resources.get("memory", 0))

    def _connect_for_good(self) -> None:
        """Connects on a thread that stays until the cluster is closed.

        Linux kills Ray's processes with the *thread* that started them (PR_SET_PDEATHSIG), and the one that
        asks for a cluster may be short-lived, such as a thread that answers a request.
        """
        connected: Future[None] = Future()

        def connect_and_stay() -> None:
            try:
                self._connect()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                connected.set_exception(error)
                return
            connected.set_result(None)
            self._over.wait()

        threading.Thread(target=connect_and_stay, name="evomerge-ray", daemon=True).start()
        connected.result()

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
        """Starts a worker's process; what is asked of it waits until it is up."""
        actor_class = self._ray.remote(Worker).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0)
        return RemoteWorker(
            name, actor_class.remote(name, threads=threads, environment=dict(environment or {}))
        )

    def call(self, worker: RemoteWorker, method: str, argument: object) -> Call:
        """Asks something of a worker, and does not wait."""
        return Call(getattr(worker.actor, method).remote(argument))

    def first_done(self, calls: Sequence[Call], timeout: float) -> Call | None:
        """Returns a call that was answered, or whose worker died; None after `timeout` seconds."""
        by_reference = {call.reference: call for call in calls}
        done, _ = self._ray.wait(list(by_reference), num_returns=1, timeout=timeout)
        return by_reference[done[0]] if done else None

    def result(self, call: Call) -> Any:  # noqa: ANN401 - whatever the method returns
        """Returns a call's answer, waiting for it; raises what the worker raised.

        Raises:
            WorkerLostError: The worker's process ended first.
        """
        try:
            return self._ray.get(call.reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            raise WorkerLostError(str(error)) from None

    def kill(self, worker: RemoteWorker) -> None:
        """Ends a worker's process, whatever it is at."""
        self._ray.kill(worker.actor)
        if self.address is None and worker.pid is not None:
            # Ray asks the process to end; one that is stopped does not listen.
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the Ray that this object started, or the connection."""
        if self._started:
            self._ray.shutdown()
        self._over.set()


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
