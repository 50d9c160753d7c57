"""MLflow: a run of the MLflow experiment `evomerge`, at a tracking server or in a local store.

The store keeps equal points (name, step, time, value) once, so what is told again after a crash is not
doubled: times are those of the events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from service.trackers.tracker import Point, RunEnding, RunFacts, Tracker

EXPERIMENT = "evomerge"
BATCH = 1000  # points that MLflow takes at once
_LONGEST = 500  # characters of a parameter's value
_STATUSES = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class MlflowTracker(Tracker):
    """Writes metrics, parameters and texts of a run; the place is a tracking URI, else the environment's."""

    def __init__(self, facts: RunFacts, place: str) -> None:
        self._client = MlflowClient(tracking_uri=place or None)
        self._run = facts.known_as or self._begin(facts)
        if facts.known_as:  # it may have ended, and been extended
            self._client.update_run(self._run, status="RUNNING")

    def _begin(self, facts: RunFacts) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        key = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
        tags = {"evomerge.experiment": str(facts.experiment)}
        run: str = self._client.create_run(key, run_name=facts.name, tags=tags).info.run_id
        params = [Param(name, text[:_LONGEST]) for name, text in _flat(facts.spec)]
        for start in range(0, len(params), 100):  # as many as MLflow takes at once
            self._client.log_batch(run, params=params[start : start + 100])
        self._client.log_text(run, yaml.safe_dump(dict(facts.spec), sort_keys=False), "spec.yml")
        return run

    @property
    def run(self) -> str:
        """The run's id."""
        return self._run

    def log(self, points: list[Point]) -> None:
        """Writes a metric per value."""
        metrics = [
            Metric(_named(name), value, int(point.at.timestamp() * 1000), point.step)
            for point in points
            for name, value in point.values.items()
        ]
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(self._run, metrics=metrics[start : start + BATCH])

    def end(self, ending: RunEnding) -> None:
        """Writes the winner's scores as metrics, recipe and card as artifacts."""
        for name, value in ending.values.items():
            self._client.log_metric(self._run, _named(name), value, step=ending.step)
        for name, text in ending.texts.items():
            self._client.log_text(self._run, text, name)
        self._client.set_terminated(self._run, _STATUSES.get(ending.status, "FINISHED"))

    def close(self) -> None:
        """Does nothing: every call is a request of its own."""


def _named(name: str) -> str:
    """Returns a name of the letters that MLflow takes."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields every value of a spec with its path."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif value is not None:
            yield _named(name), str(value)
