"""The whole service behind a real port, for browsers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measuring.browser import find_browser
from service.store.database import Database
from tests.service.running import serving, settings_in
from tests.service.scripted_workforce import ScriptedWorkforce
from workers.protocol.messages import Workforce

__all__ = ["Served", "find_browser", "served_in"]


@dataclass(frozen=True, slots=True)
class Served:
    """A running service: where it is, and the database beneath it."""

    url: str
    database: Database

    @property
    def port(self) -> int:
        """The port it listens on."""
        port = urlsplit(self.url).port
        assert port is not None
        return port


@contextmanager
def served_in(home: Path, *, port: int = 0, workforce: Workforce | None = None) -> Iterator[Served]:
    """Serves from a folder for the length of the block."""
    with serving(home, workforce or ScriptedWorkforce(), port=port) as url:
        database = Database(settings_in(home).database)
        yield Served(url, database)
        database.close()
