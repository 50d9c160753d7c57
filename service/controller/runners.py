"""Runners: several experiments beside each other, as many as the workers allow."""

from __future__ import annotations

import threading
from time import monotonic

from service.controller.places import Places
from service.controller.runner import IDLE_SECONDS, Runner
from service.settings import Settings
from service.store.database import Database
from workers.protocol.messages import Workforce


class Runners:
    """Runners that share the workers; one more begins to look for work when all are busy."""

    def __init__(self, database: Database, workforce: Workforce, settings: Settings) -> None:
        self.database, self.workforce, self.settings = database, workforce, settings
        self._places = Places(lambda: self.limit, self._one_more, interval=IDLE_SECONDS * 0.8)
        self._lock, self._stopping = threading.Lock(), False
        self._each = [self._runner()]

    def start(self) -> None:
        """Begins to look for work."""
        self._each[0].start()

    def stop(self, timeout: float = 10.0) -> None:
        """Stops looking; every runner lets go of its experiment, which the next controller goes on with.

        What is not done after `timeout` seconds in all is left to another controller.
        """
        with self._lock:
            self._stopping = True
            each = list(self._each)
        for runner in each:
            runner.ask_to_stop()
        end = monotonic() + timeout
        for runner in each:
            runner.stop(max(end - monotonic(), 0.0))

    def wake(self) -> None:
        """Has those that are idle look for work now."""
        self._places.look_again()
        for runner in list(self._each):
            runner.wake()

    @property
    def limit(self) -> int:
        """How many experiments this controller runs at once: no more than can have a worker each."""
        places = self.workforce.places(self.settings.gpus_per_worker)
        limits = (places, self.settings.workers, self.settings.max_experiments)
        return min(limit for limit in limits if limit is not None)

    @property
    def trouble(self) -> str | None:
        """Why a runner could not do its work the last time it tried; None where all could."""
        return next((each.trouble for each in self._each if each.trouble is not None), None)

    @property
    def is_alive(self) -> bool:
        """Says whether all of them look for work."""
        return all(each.is_alive for each in self._each)

    def _runner(self) -> Runner:
        return Runner(self.database, self.workforce, self.settings, places=self._places)

    def _one_more(self) -> None:
        """Sees to it that a runner is idle, which looks for the next experiment."""
        with self._lock:
            if not self._stopping and self._places.taken >= len(self._each):
                self._each.append(self._runner())
                self._each[-1].start()
