"""Records: one line of JSON per finished run, so that a suite that is cut off loses nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.searching.suite.course import Look
from benchmarks.searching.suite.evaluation_cache import ROOT, code_digest
from benchmarks.searching.suite.peers import PEERS
from benchmarks.searching.suite.problem import Problem

_OURS = ("service/optimizers", "service/search", "search_spaces")
_CHOICE = ("choice", "finalists")  # of the winner, which all contestants' are chosen by


@dataclass(frozen=True, slots=True)
class Run:
    """What is run: it names its record.

    Attributes:
        made_of: A digest of the problem, of the contestant's code and of how winners are chosen: a changed
            optimizer is run again.
    """

    problem: str
    contestant: str
    seed: int
    budget: int
    made_of: str


@dataclass(frozen=True, slots=True)
class Record:
    """A run that is finished."""

    run: Run
    looks: tuple[Look, ...]
    ending: str


def run_of(problem: Problem, folder: Path, contestant: str, seed: int, budget: int) -> Run:
    """Returns the name of a run; the problem's parents must be there."""
    peer = PEERS.get(contestant)
    code = repr(peer) + peer.source() if peer else code_digest(_OURS)
    spec = json.dumps(problem.make(folder / "families"), sort_keys=True).replace(str(folder), "")
    choice = "".join((ROOT / "service" / "examination" / f"{name}.py").read_text() for name in _CHOICE)
    made_of = hashlib.sha256((code + spec + choice + str(problem.is_front)).encode()).hexdigest()[:12]
    return Run(problem.name, contestant, seed, budget, made_of)


class Records:
    """The file of all finished runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[Run, Record] = {}
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        for line in lines:
            record = _read(line)
            if record is not None:
                self._known[record.run] = record

    def get(self, run: Run) -> Record | None:
        """Returns a run's record, if it is finished."""
        return self._known.get(run)

    def add(self, record: Record) -> None:
        """Keeps a record, at once."""
        self._known[record.run] = record
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")


def _read(line: str) -> Record | None:
    """Returns a line's record; None of a line that was cut off."""
    try:
        stored = json.loads(line)
    except json.JSONDecodeError:
        return None
    return Record(Run(**stored["run"]), tuple(Look(**look) for look in stored["looks"]), stored["ending"])
