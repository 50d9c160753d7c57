"""The cluster's processes, and who starts them again when they have ended, as Kubernetes would."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from examples.service_process import free_port

SCRIPTS = Path(sysconfig.get_path("scripts"))
GLANCE = 0.5  # seconds between two looks for processes that have ended


@dataclass(slots=True)
class KeptProcess:
    """A process that is to run, and how often it was started."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    starts: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Starts it, in a group of its own."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.command), env=dict(self.environment), stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    def has_ended(self) -> bool:
        """Says whether it does not run."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """Ends it with all that it has started, as a machine that loses its power does."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.send_signal(signal.SIGKILL)
        self.process.kill()
        self.process.wait()


class ClusterProcesses:
    """Ray's head, raylets and controllers, each started again when it has ended."""

    def __init__(self, folder: Path, database_url: str, *, raylets: int = 2, controllers: int = 2) -> None:
        self.folder, self.address = folder, f"127.0.0.1:{free_port()}"
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": self.address,
            "EVOMERGE_DATABASE_URL": database_url,
            "EVOMERGE_MODEL_ROOTS": str(folder),
            "EVOMERGE_FEWEST_BYTES_FREE": "0",
            "OMP_NUM_THREADS": "1",
        }
        self.head = self._kept(
            "ray-head",
            self._ray("--head", "--include-dashboard=false", f"--port={self.address.split(':')[1]}", cpus=0),
        )
        self.raylets = [
            self._kept(f"raylet-{n}", self._ray(f"--address={self.address}", cpus=1)) for n in range(raylets)
        ]
        self.ports = [free_port() for _ in range(controllers)]
        self.controllers = [
            self._kept(f"controller-{n}", self._controller(port)) for n, port in enumerate(self.ports)
        ]
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._keep, daemon=True)

    @property
    def all(self) -> list[KeptProcess]:
        """The head first."""
        return [self.head, *self.raylets, *self.controllers]

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()
        for one in reversed(self.all):
            one.kill()

    def workers(self) -> list[psutil.Process]:
        """Returns the processes of Ray's workers."""
        found = []
        for raylet in self.raylets:
            if raylet.process is not None and not raylet.has_ended():
                children = psutil.Process(raylet.process.pid).children(recursive=True)
                found += [child for child in children if child.name().startswith("ray::Worker")]
        return found

    def _keep(self) -> None:
        while not self._over.wait(GLANCE):
            for one in self.all:
                if one.has_ended() and not self._over.is_set():
                    one.start()

    def _kept(self, name: str, command: Sequence[str]) -> KeptProcess:
        home = self.folder / name
        home.mkdir()
        return KeptProcess(name, command, {**self.environment, "EVOMERGE_HOME": str(home)}, home / "log")

    def _ray(self, *how: str, cpus: int) -> list[str]:
        return [
            str(SCRIPTS / "ray"), "start", *how, f"--num-cpus={cpus}", "--num-gpus=0", "--block",
            "--node-ip-address=127.0.0.1", "--object-store-memory=80000000",
            "--disable-usage-stats",
        ]  # fmt: skip

    def _controller(self, port: int) -> list[str]:
        return [str(SCRIPTS / "evomerge"), "serve", "--port", str(port)]
