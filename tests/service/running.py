"""A service that runs for the length of a test, over a scripted workforce."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from service.cli.installation.server import embedded_server
from service.client.client import Client
from service.experiment.status import ENDED, ExperimentStatus
from service.reports.views import ExperimentDetail
from service.settings import Settings
from service.web.app import create_app
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.small_experiments import small_content
from workers.pools.listening import listening
from workers.protocol.messages import (
    Exported,
    ExportOrder,
    Interrupted,
    Job,
    JobResult,
    Outcome,
    Workforce,
    never,
)

PATIENCE = 30.0


class ControlledWorkforce(ScriptedWorkforce):
    """A scripted workforce that answers only while its gate is open, and writes what it exports.

    Attributes:
        pace: Seconds per answer.  Controllers look for requests every so often: a run that is over in
            no time cannot be paused.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"benchmarks": ("words", "sums")} | options)
        self.gate, self.job_gate = threading.Event(), threading.Event()
        self.gate.set()
        self.job_gate.set()
        self.pace = 0.0

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Waits for the gate before it answers."""
        if not self.gate.wait(min(timeout, 0.05)):
            return None
        time.sleep(self.pace)
        return super().next_outcome(timeout)

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Writes an export's texts where the checkpoint would be."""
        if isinstance(job, ExportOrder):
            listening(lambda: self.job_gate.wait(PATIENCE), interrupted)
        result = super().run_job(job, interrupted)
        if isinstance(job, ExportOrder):
            return self._write(job)
        return result

    def _write(self, order: ExportOrder) -> Exported:
        folder = Path(order.folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"README.md": order.card, **order.extra_files}.items():
            (folder / name).write_text(text, encoding="utf-8")
        url = f"https://hub.test/{order.hub.repository}" if order.hub else None
        verified = "loaded" if order.verify else ""
        return Exported(order.folder, ("README.md",), 1000, order.recipe.digest, url, verified=verified)


class Steps:
    """The usual requests, in few words; each expects to succeed."""

    def __init__(self, http: TestClient | httpx.Client) -> None:
        self.http = http

    def create(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Creates an experiment."""
        return self._json(self.http.post("/api/v1/experiments", json=spec))

    def experiment(self, key: str) -> dict[str, Any]:
        """Returns an experiment."""
        return self._json(self.http.get(f"/api/v1/experiments/{key}"))

    def wait(self, key: str, *statuses: str) -> dict[str, Any]:
        """Returns an experiment when it has one of these statuses."""
        wait_for(lambda: self.experiment(key)["status"] in statuses, f"{key} to be {statuses}")
        return self.experiment(key)

    def exported(self, export: str) -> dict[str, Any]:
        """Returns an export when it is over."""
        address = f"/api/v1/exports/{export}"
        wait_for(lambda: self.get(address)["status"] in ("succeeded", "failed"), "the export")
        return self.get(address)

    def get(self, address: str) -> dict[str, Any]:
        """Returns what an address holds."""
        return self._json(self.http.get(address))

    def _json(self, response: Any) -> dict[str, Any]:
        assert response.is_success, response.text
        content: dict[str, Any] = response.json()
        return content


def settings_in(home: Path, **changes: Any) -> Settings:
    """Returns settings for a service that touches nothing outside its home."""
    return Settings.model_validate({"home": home, "port": 0, "lease_seconds": 6.0} | changes)


def spec_over(parents: dict[str, Path], /, **changes: Any) -> dict[str, Any]:
    """Returns a spec with two objectives that is over in a moment."""
    return small_content(parents) | changes


@contextmanager
def serving(home: Path, workforce: Workforce, **changes: Any) -> Iterator[str]:
    """Serves on a port of its own; yields the address."""
    settings = settings_in(home, **changes)
    with embedded_server(settings, lambda chosen: create_app(chosen, workforce=workforce)) as embedded:
        yield embedded.url


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def ended(client: Client, key: str) -> ExperimentDetail:
    """Returns an experiment when it has ended."""
    wait_for(lambda: client.experiment(key).status in ENDED, f"{key} to end")
    return client.experiment(key)


def reached(client: Client, key: str, status: ExperimentStatus) -> None:
    """Waits until an experiment has this status."""
    wait_for(lambda: client.experiment(key).status is status, f"{key} to be {status}")
