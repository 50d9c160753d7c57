"""Traces: what a request, an experiment and an export were made of, for OpenTelemetry.

Nothing is traced unless OpenTelemetry's own variables name a collector (`OTEL_EXPORTER_OTLP_ENDPOINT`, or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`); then `evomerge[otel]` must be installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from service.errors import MissingLibraryError

COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_tracer: Any = None  # OpenTelemetry's, once there is a collector


def configure_tracing(exporter: Any = None) -> None:  # noqa: ANN401 - OpenTelemetry's, an optional package
    """Begins to trace where a collector is named; `exporter` takes the spans instead, as they end.

    Raises:
        MissingLibraryError: A collector is named, and OpenTelemetry is not installed.
    """
    global _tracer  # noqa: PLW0603 - one per process, as is OpenTelemetry's
    if exporter is None and not any(os.environ.get(name) for name in COLLECTORS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError as error:
        raise MissingLibraryError("sending traces", "OpenTelemetry", "otel") from error
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "evomerge"}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter()) if exporter is None else SimpleSpanProcessor(exporter)
    )
    _tracer = provider.get_tracer("evomerge", version("evomerge"))


def stop_tracing() -> None:
    """Traces no more; for tests."""
    global _tracer  # noqa: PLW0603
    _tracer = None


@contextmanager
def span(name: str, **attributes: str | int | float | None) -> Iterator[None]:
    """Notes how long the block takes, and whether it failed; blocks inside it become parts of it."""
    if _tracer is None:
        yield
        return
    given = {f"evomerge.{key}": value for key, value in attributes.items() if value is not None}
    with _tracer.start_as_current_span(name, attributes=given):
        yield
