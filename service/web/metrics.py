"""Metrics: what Prometheus reads of a service, at /metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.experiment.status import ExperimentStatus
from service.store.database import Database
from service.store.repository import Overview, Repository

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class RequestMetrics:
    """Counts requests, and measures how long they take."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "evomerge_http_requests",
            "Requests, by method and status.",
            ("method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "evomerge_http_seconds",
            "Seconds until a request was answered.",
            buckets=SECONDS,
            registry=self.registry,
        )

    def note(self, method: str, status: int, seconds: float) -> None:
        """Takes in a request that was answered."""
        self._requests.labels(method if method in KNOWN_METHODS else "other", str(status)).inc()
        self._seconds.observe(seconds)


class _Stored(Collector):
    """What the database knows, read when it is asked for: it is the same for all controllers."""

    def __init__(self, found: Overview, limit: int, troubles: int) -> None:
        self._found, self._limit, self._troubles = found, limit, troubles

    def collect(self) -> Iterator[Metric]:
        """Yields the present values."""
        yield _gauge("evomerge_info", "The version that runs.", ("version",), [((version("evomerge"),), 1)])
        statuses = [((status.value,), self._found.experiments.get(status, 0)) for status in ExperimentStatus]
        yield _gauge("evomerge_experiments", "Experiments, by status.", ("status",), statuses)
        workers = [((name,), count) for name, count in self._found.workers.items()]
        yield _gauge("evomerge_workers", "Workers of the experiments that run.", ("experiment",), workers)
        exports = [((status,), count) for status, count in self._found.exports.items()]
        yield _gauge("evomerge_exports", "Exports, by status.", ("status",), exports)
        yield _gauge(
            "evomerge_experiments_limit", "Experiments that may run at once here.", (), [((), self._limit)]
        )
        yield _gauge(
            "evomerge_troubles", "Reasons why this service is not ready.", (), [((), self._troubles)]
        )


def exposition(requests: RequestMetrics, database: Database, *, limit: int, troubles: int) -> bytes:
    """Returns all metrics in Prometheus' text format."""
    with database.reading() as session:
        found = Repository(session).overview()
    stored = CollectorRegistry()
    stored.register(_Stored(found, limit, troubles))
    return generate_latest(stored) + generate_latest(requests.registry)


def _gauge(
    name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], int]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for place, value in values:
        family.add_metric(place, value)
    return family
