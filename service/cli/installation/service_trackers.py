"""EVOMERGE_TRACKERS of `evomerge serve`: every experiment that runs is shown there as well."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from uuid import UUID

from service.cli.terminal.output import note
from service.client.client import Client
from service.client.errors import ClientError
from service.experiment.status import ENDED
from service.reports.views import ExperimentView
from service.settings import Settings
from service.trackers import Target, is_unfinished, tracked

GLANCE = 2.0  # seconds between two looks for experiments that have begun


@contextmanager
def telling_trackers(url: str, settings: Settings, targets: Sequence[Target]) -> Iterator[None]:
    """Tells trackers of the service's experiments for the length of the block, on threads of their own."""
    if not targets:
        yield
        return
    stopping = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(url, settings, targets, stopping), name="evomerge-trackers", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        stopping.set()
        watch.join(1.0)  # the service has gone: what is left is told when it runs again


def _watch(url: str, settings: Settings, targets: Sequence[Target], stopping: threading.Event) -> None:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    since, known = datetime.now(UTC), set[UUID]()
    with Client(url, key) as client, ExitStack() as told:
        while not stopping.wait(GLANCE):
            try:
                views = client.experiments().items
            except ClientError:  # it is still starting, or busy: look again
                continue
            for view in views:
                if view.id not in known and (_is_news(view, since) or is_unfinished(settings.home, view.id)):
                    known.add(view.id)
                    told.enter_context(tracked(client, str(view.id), targets, settings.home, note))


def _is_news(view: ExperimentView, since: datetime) -> bool:
    """Says whether an experiment has happened, in part at least, while the service ran."""
    return view.status not in ENDED or (view.ended_at or view.created_at) >= since
