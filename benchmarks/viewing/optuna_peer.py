"""Optuna Dashboard in an environment of its own: the same figures, where it shows them at all."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from playwright.sync_api import Browser

from benchmarks.peers.environments import CONSTRAINTS, PeerUnavailableError, peer_python
from benchmarks.viewing.browsing import first_paint, idle_share, seconds_until
from benchmarks.viewing.served import ServedProcess

PACKAGES = ["optuna-dashboard==0.21.0", "optuna==5.0.0"]
START_SECONDS = 60.0
# The picture of the front is the first that its page of a study with several objectives draws.
DRAWN = "document.querySelector('.js-plotly-plot .main-svg') !== null || null"


def measure_optuna(view: Browser, folder: Path, *, trials: int, objectives: int) -> dict[str, float | str]:
    """Returns the figures of Optuna Dashboard over a study of this size; words where there is none."""
    python = peer_python("optuna-dashboard", PACKAGES, torch=False)
    file = folder / "optuna.db"
    command = [
        str(python),
        "-m",
        "benchmarks.viewing.optuna_history",
        str(file),
        str(trials),
        str(objectives),
    ]
    subprocess.run(command, check=True, cwd=CONSTRAINTS.parent)
    with _serving(python.parent / "optuna-dashboard", file) as server:
        address = f"{server.url}/dashboard/studies/1"
        found: dict[str, float | str] = {"first_paint": first_paint(view, address)}
        before = server.cpu_seconds
        try:
            found["front_drawn"] = seconds_until(view, address, DRAWN)
        except TimeoutError:
            found["front_drawn"] = "not within 120 s"
        found["cpu_of_one_look"] = server.cpu_seconds - before
        found["idle_share"] = idle_share(view, address, server, seconds=20)
        found["memory_mb"] = server.memory_mb
    return found


@contextmanager
def _serving(program: Path, file: Path) -> Iterator[ServedProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(program), f"sqlite:///{file}", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            _wait_for(url)
            yield ServedProcess(url, psutil.Process(running.pid))
        finally:
            running.terminate()


def _wait_for(url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urlopen(f"{url}/dashboard"):  # noqa: S310 - an address of this machine
                return
        except URLError:
            time.sleep(0.2)
    raise PeerUnavailableError(f"Optuna Dashboard did not answer within {START_SECONDS:g} s")
