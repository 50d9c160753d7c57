"""TensorBoard: event files in a folder; no service is needed.

After a restart the file begins with a mark from which step on it replaces what was written before
(TensorBoard's own way to go on after a crash), so that no point is shown twice.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from service.trackers.tracker import Point, RunEnding, RunFacts, Tracker


class TensorBoardTracker(Tracker):
    """Writes event files into `FOLDER/NAME-ID`."""

    def __init__(self, facts: RunFacts, place: str) -> None:
        self.folder = Path(facts.known_as or Path(place, f"{facts.name}-{facts.experiment.hex[-8:]}"))
        self._writer = EventFileWriter(str(self.folder))
        # The first mark opens a session; every other one withdraws what was written from its step on.
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(step=facts.first_step, session_log=start))
        if facts.known_as is None:
            self._text("spec", yaml.safe_dump(dict(facts.spec), sort_keys=False), step=0)
        self._writer.flush()

    @property
    def run(self) -> str:
        """The folder."""
        return str(self.folder)

    def log(self, points: list[Point]) -> None:
        """Writes a scalar per value."""
        for point in points:
            for name, value in point.values.items():
                self._add(scalar_pb(name, value), point.step, point.at.timestamp())
        self._writer.flush()

    def end(self, ending: RunEnding) -> None:
        """Writes the winner's scores as scalars, recipe and card as texts."""
        for name, value in ending.values.items():
            self._add(scalar_pb(name, value), ending.step)
        for name, text in ending.texts.items():
            self._text(name, text, step=ending.step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _text(self, name: str, text: str, *, step: int) -> None:
        shown = text if name.endswith(".md") else f"```\n{text}\n```"  # texts are shown as Markdown
        self._add(text_pb(name, shown), step)

    def _add(self, summary: Summary, step: int, at: float | None = None) -> None:
        event = Event(step=step, summary=summary)
        if at is not None:
            event.wall_time = at
        self._writer.add_event(event)
