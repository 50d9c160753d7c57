"""Traces and logs name the request and the experiment that they are about."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from service.controller.runner import Runner
from service.log import configure_logging
from service.settings import Settings
from service.store.database import Database
from service.tracing import configure_tracing, span, stop_tracing
from service.web.app import create_app
from tests.databases import sqlite_database, sqlite_url
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.small_experiments import add_experiment

__all__ = ["sqlite_database", "sqlite_url"]


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    configure_tracing(exporter)
    yield exporter
    stop_tracing()


def test_an_experiments_trace_holds_its_parts(sqlite_database: Database, spans: InMemorySpanExporter) -> None:
    row = add_experiment(sqlite_database)
    Runner(sqlite_database, ScriptedWorkforce(benchmarks=("words", "sums")), Settings()).run_next()
    found = {one.name: one for one in spans.get_finished_spans()}
    assert list(found) == ["prepare", "search", "examine", "experiment"]
    whole = found["experiment"]
    assert whole.attributes is not None
    assert whole.attributes["evomerge.experiment"] == str(row.id)
    parents = [one.parent for name, one in found.items() if name != "experiment"]
    assert whole.context is not None
    assert {parent and parent.span_id for parent in parents} == {whole.context.span_id}


def test_a_requests_trace_has_the_id_that_its_answer_has(spans: InMemorySpanExporter) -> None:
    with TestClient(create_app(workforce=ScriptedWorkforce()), base_url="http://localhost") as client:
        answer = client.get("/healthz")
    (request,) = spans.get_finished_spans()
    assert request.attributes is not None
    assert request.attributes["evomerge.path"] == "/healthz"
    assert request.attributes["evomerge.request_id"] == answer.headers["x-request-id"]


def test_without_a_collector_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    configure_tracing()
    with span("it", number=1):
        pass


def test_what_is_logged_while_an_experiment_runs_names_it(
    sqlite_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    class Telling(ScriptedWorkforce):
        def release(self) -> None:
            structlog.get_logger().warning("released")

    row = add_experiment(sqlite_database)
    configure_logging(json=True)
    Runner(sqlite_database, Telling(benchmarks=("words", "sums")), Settings()).run_next()
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert [one["experiment"] for one in told if one["event"] == "released"] == [str(row.id)]
