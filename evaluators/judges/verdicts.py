"""Verdicts that were given once: a judge is not asked twice about the same answer to the same question.

Kept in the user's cache folder, so that workers, candidates and experiments share them.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from evaluators.judges.local_judge import Pair

_PATIENCE = 60.0  # seconds that another process may hold the file


class Verdicts:
    """The verdicts of one judge under one rubric.

    Args:
        judge: The fingerprint of both.
        folder: Where the file lies; None takes the user's cache folder.
    """

    def __init__(self, judge: str, folder: Path | None = None) -> None:
        place = folder or _users_folder()
        place.mkdir(parents=True, exist_ok=True)
        self._judge, self._file = judge, place / "verdicts.sqlite"
        with closing(self._open()) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS verdict (pair TEXT PRIMARY KEY, value REAL)")

    def of(self, pairs: Sequence[Pair], give: Callable[[Sequence[Pair]], Sequence[float]]) -> list[float]:
        """Returns a verdict per pair.

        Args:
            pairs: What is compared.
            give: Asks the judge about those that have no verdict yet, each once.
        """
        keys = [self._key(pair) for pair in pairs]
        known = self._known(keys)
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
        if missing:
            given = dict(zip(missing, give(list(missing.values())), strict=True))
            self._keep(given)
            known |= given
        return [known[key] for key in keys]

    def _known(self, keys: Sequence[str]) -> dict[str, float]:
        with closing(self._open()) as database:
            rows = (
                database.execute("SELECT pair, value FROM verdict WHERE pair = ?", (key,)).fetchone()
                for key in dict.fromkeys(keys)
            )
            return {row[0]: float(row[1]) for row in rows if row is not None}

    def _keep(self, given: Mapping[str, float]) -> None:
        with closing(self._open()) as database, database:
            database.executemany("INSERT OR REPLACE INTO verdict VALUES (?, ?)", given.items())

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=_PATIENCE)

    def _key(self, pair: Pair) -> str:
        content = repr((self._judge, pair.question, pair.answer, pair.reference))
        return hashlib.sha256(content.encode()).hexdigest()


def _users_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evomerge" / "judges"
