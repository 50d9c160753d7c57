"""Evaluations that were made once: kept in a file, by the digest of the recipe and of all that is asked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluators import Score
from workers.protocol.messages import Assignment, Scored, Workload

ROOT = Path(__file__).parents[3]
_JUDGES = ("workers/merging", "workers/runtime", "evaluators")


def code_digest(folders: Iterable[str]) -> str:
    """Returns a name for what the Python files below some folders of the repository say."""
    found = hashlib.sha256()
    for file in sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


class EvaluationCache:
    """A file of outcomes, which several processes may use at once."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("CREATE TABLE IF NOT EXISTS outcomes (key TEXT PRIMARY KEY, outcome BLOB)")
        self._asked = ""
        self._code = code_digest(_JUDGES)

    def prepare(self, workload: Workload) -> None:
        """Takes in of which parents and benchmarks the next evaluations are."""
        asked = repr((self._code, workload.parents, workload.benchmarks, workload.dtype))
        self._asked = hashlib.sha256(asked.encode()).hexdigest()

    def key(self, assignment: Assignment) -> str | None:
        """Returns what names an evaluation; None for a race, whose questions depend on others' answers."""
        if assignment.race is not None:
            return None
        known = [(score.benchmark, score.item_indices) for score in assignment.known]
        asked = repr((self._asked, assignment.split, assignment.items, known, assignment.conditions))
        return hashlib.sha256((asked + assignment.recipe.digest).encode()).hexdigest()

    def get(self, key: str, assignment: Assignment) -> Scored | None:
        """Returns a stored evaluation as the answer to an assignment."""
        row = self._database.execute("SELECT outcome FROM outcomes WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        stored: dict[str, Any] = json.loads(zlib.decompress(row[0]))
        scores = tuple(_score(one) for one in stored.pop("scores"))
        return Scored(assignment.candidate, assignment.attempt, scores, **stored)

    def put(self, key: str, outcome: Scored) -> None:
        """Stores an evaluation."""
        stored = asdict(outcome)
        del stored["candidate"], stored["attempt"]
        blob = zlib.compress(json.dumps(stored).encode(), 1)
        self._database.execute("INSERT OR IGNORE INTO outcomes VALUES (?, ?)", (key, blob))

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def _score(stored: dict[str, Any]) -> Score:
    return Score(**{name: _as_tuple(value) for name, value in stored.items()})


def _as_tuple(value: object) -> Any:  # noqa: ANN401 - any field of a score
    return tuple(_as_tuple(one) for one in value) if isinstance(value, list) else value
