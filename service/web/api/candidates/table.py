"""The candidates of an experiment as CSV, a chunk at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from evaluators import SPLITS
from service.experiment.candidate import CandidateStatus
from service.reports.experiments import candidate_view, front_numbers, gene_names
from service.reports.views import CandidateView
from service.store.database import Database
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of

CHUNK = 1000  # rows per transaction: a long table must not block writers
Cell = str | int | float | bool | None
_FIRST = ("number", "generation", "label", "status", "on_front", "digest")
_SECONDS = ("ask", "merge", "evaluate", "dispatch", "store", "tell")
_LAST = (*(f"seconds_{name}" for name in _SECONDS), "attempts", "worker", "created_at", "settled_at")
_REASONS = ("infeasible_reason", "failure_code", "failure_cause")


def candidate_rows(
    database: Database, experiment: ExperimentRow, *, status: CandidateStatus | None = None
) -> Iterator[str]:
    """Yields the lines of the table: scores by split and objective, then reasons, costs and genes."""
    names = list(objectives_of(experiment).names)
    genes = gene_names(experiment)
    scores = [f"{split}:{name}{part}" for split in SPLITS for name in names for part in ("", ":stderr")]
    yield _lines([(*_FIRST, *scores, *_REASONS, *_LAST, *(f"gene:{gene}" for gene in genes))])
    after = -1
    while True:
        with database.reading() as session:
            repository = Repository(session)
            front = front_numbers(repository, experiment.id)
            rows = repository.candidates(experiment.id, after=after, limit=CHUNK, status=status)
        if not rows:
            return
        after = rows[-1].number
        yield _lines([_cells(row, candidate_view(row, front=front), names, len(genes)) for row in rows])


def _cells(row: CandidateRow, view: CandidateView, names: Sequence[str], genes: int) -> list[Cell]:
    cells: list[Cell] = [view.number, view.generation, view.label, view.status, view.on_front, view.digest]
    for split in SPLITS:
        found = {score.benchmark: score for score in view.scores.get(split, ())}
        for name in names:
            score = found.get(name)
            cells += [score.value, score.stderr] if score else [None, None]
    failure = view.failure
    cells += [view.infeasible_reason, failure.code if failure else None, failure.cause if failure else None]
    cells += [getattr(view.timings, name) for name in _SECONDS]
    cells += [view.attempts, view.worker, view.created_at.isoformat()]
    cells.append(view.settled_at.isoformat() if view.settled_at else None)
    return cells + list(row.genome or [None] * genes)


def _lines(rows: Sequence[Sequence[Cell]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([[_harmless(cell) for cell in row] for row in rows])
    return buffer.getvalue()


def _harmless(cell: Cell) -> Cell:
    """Keeps spreadsheets from taking a text for a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
