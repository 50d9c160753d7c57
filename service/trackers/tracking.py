"""tracked: tells targets of an experiment, each on a thread of its own, for the length of a block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service.client.client import Client
from service.client.errors import ServerUnreachableError, SlowAnswerError
from service.experiment.objectives import Objectives
from service.experiment.status import ENDED
from service.reports.views import CandidateView, EventView, ExperimentDetail
from service.trackers.ending import ending_of
from service.trackers.points import GENERATION, SETTLED, points_of
from service.trackers.progress_file import ProgressFile, Told, folder_of
from service.trackers.target import Target
from service.trackers.tracker import RunFacts, Tracker

GLANCE = 1.0  # seconds between two looks at what is new
LAST_SECONDS = 60.0  # that a tracker may take to write what is left when the block ends
PAGE = 500

Tell = Callable[[str], None]


class Tracking(threading.Thread):
    """Tells one target of one experiment until it has ended, or until it is stopped.

    It only reads: whatever happens here, the experiment goes on as without it.
    """

    def __init__(
        self, client: Client, experiment: ExperimentDetail, target: Target, home: Path, tell: Tell
    ) -> None:
        super().__init__(name=f"evomerge-{target.kind}", daemon=True)
        self.client, self.experiment, self.target, self.tell = client, experiment, target, tell
        self.file = ProgressFile(folder_of(home, experiment.id) / f"{target.key}.json")
        self.stopping = threading.Event()
        self._objectives = Objectives(tuple(experiment.objectives))

    def run(self) -> None:
        """Does the work; an error is told once."""
        name = self.experiment.name
        try:
            with self.file.alone() as alone:
                if alone:
                    self._follow()
                else:
                    self.tell(f"{self.target} is told of {name} by another process already.")
        except Exception as error:  # noqa: BLE001 - other people's libraries; the experiment must not depend on them
            cause = (str(error).strip().splitlines() or ["it gave no reason"])[0]
            what = f"Warning: {self.target} failed ({type(error).__name__}: {cause})"
            self.tell(f"{what}; {name} goes on without it. It is told the rest the next time.")

    def _follow(self) -> None:
        told = self.file.read()
        if told.ended and self._is_over(told):
            return
        facts = RunFacts(
            self.experiment.id, self.experiment.name, self.experiment.spec, told.step + 1, told.run
        )
        tracker = self.target.open(facts)
        try:
            told = told.model_copy(update={"run": tracker.run})
            self.file.write(told)
            over = False
            while not over:
                over = self.stopping.wait(GLANCE)
                told, ended = self._try_to_catch_up(tracker, told)
                over = over or ended
        finally:
            tracker.close()

    def _is_over(self, told: Told) -> bool:
        """Says whether nothing has happened that a target should know, and nothing will."""
        kinds = {event.kind for event in self._new_events(told.event)}
        return self.experiment.status in ENDED and not kinds & {SETTLED, GENERATION}

    def _try_to_catch_up(self, tracker: Tracker, told: Told) -> tuple[Told, bool]:
        """Does the same as `_catch_up`, or nothing while the service does not answer."""
        try:
            return self._catch_up(tracker, told)
        except (ServerUnreachableError, SlowAnswerError):
            return self.file.read(), False

    def _catch_up(self, tracker: Tracker, told: Told) -> tuple[Told, bool]:
        """Tells all that is new; returns how far the target is, and whether the experiment has ended."""
        experiment = self.client.experiment(self.experiment.id)  # before its events: none is missed
        while events := self._new_events(told.event):
            points, ahead = points_of(events, told, self._objectives, self._look)
            if points:
                tracker.log(points)
                ahead = ahead.model_copy(update={"ended": False})
            told = ahead
            self.file.write(told)
        if experiment.status not in ENDED:
            return told, False
        if not told.ended:
            tracker.end(ending_of(self.client, experiment, told.step))
            told = told.model_copy(update={"ended": True})
            self.file.write(told)
        return told, True

    def _new_events(self, after: int) -> list[EventView]:
        return self.client.events(self.experiment.id, after=after, page_size=PAGE).items

    def _look(self, number: int) -> CandidateView:
        return self.client.candidate(self.experiment.id, number)


@contextmanager
def tracked(client: Client, key: str, targets: Sequence[Target], home: Path, tell: Tell) -> Iterator[None]:
    """Tells targets of an experiment for the length of the block; what is left then is told before it ends.

    Args:
        client: Of the service that has the experiment; several threads use it.
        key: The experiment's name or id.
        targets: What is told.
        home: Keeps how far each target is.
        tell: Called with a sentence where a tracker fails, from its thread.
    """
    experiment = client.experiment(key) if targets else None
    threads = [
        Tracking(client, experiment, target, home, tell) for target in targets if experiment is not None
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.stopping.set()
        for thread in threads:
            thread.join(LAST_SECONDS)
            if thread.is_alive():
                late = f"Warning: {thread.target} has not taken all within {LAST_SECONDS:.0f} s"
                tell(f"{late}; the rest is told next time.")
