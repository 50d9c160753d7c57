"""EventTail: one look at the database for all who listen, however many they are."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from uuid import UUID

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from service.experiment.status import ENDED, ExperimentStatus
from service.reports.experiments import event_view
from service.reports.views import EventView
from service.store.database import Database
from service.store.repository import Repository

GLANCE = 0.25  # seconds between two looks
ASK_AGAIN = 5.0  # seconds after which a listener's key is looked at again
BATCH = 500


class EventTail:
    """Says when something new has happened.

    While anyone listens, one task looks for the newest event and wakes those who wait; each then
    reads what is new to it.  All reading is done on threads, a few at a time, so that a crowd of
    listeners neither stops the event loop nor takes all threads from other requests.
    """

    def __init__(self, database: Database, stopping: threading.Event) -> None:
        self.database, self.stopping = database, stopping
        self._newest: dict[UUID, int] = {}
        self._listeners: Counter[UUID] = Counter()  # by experiment
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._threads = anyio.CapacityLimiter(4)

    async def follow(
        self, experiment: UUID, *, after: int, allowed: Callable[[], bool]
    ) -> AsyncIterator[list[EventView]]:
        """Yields batches of an experiment's events until it has ended and all were given.

        Stops early when the service goes down: clients reconnect to the next one.

        Args:
            experiment: Whose events.
            after: Begin after this event.
            allowed: Says whether the listener may still listen; asked every few seconds.

        Raises:
            PermissionError: It may not.
        """
        asked = float("-inf")
        async with self._listening(experiment):
            while not self.stopping.is_set():
                if monotonic() - asked >= ASK_AGAIN:
                    if not await anyio.to_thread.run_sync(allowed, limiter=self._threads):
                        raise PermissionError
                    asked = monotonic()
                news = self._news
                ended, batch = await anyio.to_thread.run_sync(
                    self._read, experiment, after, limiter=self._threads
                )
                if batch:
                    after = batch[-1].id
                    yield batch
                elif ended:
                    return
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), ASK_AGAIN)

    def _read(self, experiment: UUID, after: int) -> tuple[bool, list[EventView]]:
        """Returns whether the experiment has ended, and what is new; both of the same moment."""
        with self.database.reading() as session:
            repository = Repository(session)
            ended = ExperimentStatus(repository.experiment(experiment).status) in ENDED
            rows = repository.events(experiment_id=experiment, after=after, limit=BATCH)
            return ended, [event_view(row) for row in rows]

    @asynccontextmanager
    async def _listening(self, experiment: UUID) -> AsyncIterator[None]:
        self._listeners[experiment] += 1
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners[experiment] -= 1
            if not self._listeners[experiment]:
                del self._listeners[experiment]

    async def _watch(self) -> None:
        """Looks for news until the last listener has left."""
        try:
            while self._listeners:
                await self._look()
                await asyncio.sleep(GLANCE)
        finally:
            self._task = None

    async def _look(self) -> None:
        """Wakes all who listen when there is something new."""
        try:
            newest = await anyio.to_thread.run_sync(
                self._last_events, tuple(self._listeners), limiter=self._threads
            )
        except SQLAlchemyError:  # busy, or away for a moment: the next look will tell
            newest = self._newest
        if newest != self._newest or self.stopping.is_set():
            self._newest = newest
            self._news.set()
            self._news = asyncio.Event()

    def _last_events(self, experiments: Sequence[UUID]) -> dict[UUID, int]:
        with self.database.reading() as session:
            return Repository(session).last_events(experiments)
