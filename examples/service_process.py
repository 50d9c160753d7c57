"""The service as a process of its own, as `evomerge serve` runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 120.0
STOP_SECONDS = 40.0


class ServiceDidNotStartError(RuntimeError):
    """The service ended, or did not answer in time; the message holds the end of its log."""


@dataclass(slots=True)
class ServiceProcess:
    """A running service: its address, its process and its log."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Asks it to end in good order, and waits."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()


def free_port(wanted: int = 0) -> int:
    """Returns the wanted port if it is free, else any that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def start_service(
    home: Path, *, port: int = 0, workers: int | None = None, parents: Path | None = None
) -> ServiceProcess:
    """Starts `evomerge serve` on the embedded defaults and returns once it answers.

    Args:
        home: The service's home.
        port: Wanted; another is taken where it is in use.
        workers: How many; None takes as many as the machine allows.
        parents: A further folder below which parents and tasks may lie.

    Raises:
        ServiceDidNotStartError: It ended, or did not answer within two minutes.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = free_port(port)
    evomerge = Path(sysconfig.get_path("scripts")) / "evomerge"
    command = [str(evomerge), "serve", "--home", str(home), "--port", str(port)]
    log = home / "service.log"
    roots = {"EVOMERGE_MODEL_ROOTS": f"{home}{os.pathsep}{parents}"} if parents else {}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *(["--workers", str(workers)] if workers else [])],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **roots},
            start_new_session=True,  # Ctrl-C in the demo must reach the demo first
        )
    service = ServiceProcess(f"http://127.0.0.1:{port}", process, log)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{service.url}/readyz", timeout=2).is_success:
                return service
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.1)
    service.kill()
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise ServiceDidNotStartError(f"the service did not start; the end of {log}:\n{tail}")
