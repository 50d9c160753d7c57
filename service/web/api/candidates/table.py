"""The candidates of an experiment in one table, a chunk of rows at a time: CSV, NDJSON or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any

from sqlalchemy import ColumnElement

from evaluators import SPLITS
from search_spaces.genome import Integer, Real
from service.errors import MissingLibraryError
from service.experiment.spec import ExperimentSpec
from service.reports.experiments import candidate_view, front_numbers
from service.reports.views import CandidateView
from service.specification.planning import build_space_for
from service.store.database import Database
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of

CHUNK = 1000  # rows per transaction: a long table must not block writers
MOST_IN_MEMORY = 16 * 2**20  # bytes of a Parquet file, which is written whole before it is sent
Cell = str | int | float | bool | None
_FIRST = {
    "number": int, "generation": int, "kind": str, "label": str, "status": str, "on_front": bool,
    "digest": str, "operator": str, "violation": float,
}  # fmt: skip
_REASONS = {"infeasible_reason": str, "failure_code": str, "failure_cause": str}
_SECONDS = ("ask", "merge", "evaluate", "dispatch", "store", "tell")
_LAST = {
    **{f"seconds_{name}": float for name in _SECONDS},
    "attempts": int, "worker": str, "created_at": str, "settled_at": str,
}  # fmt: skip


class CandidateTable:
    """All candidates of an experiment, or those that fulfil a condition, by number."""

    def __init__(
        self, database: Database, experiment: ExperimentRow, where: ColumnElement[bool] | None = None
    ) -> None:
        self.database, self.experiment, self.where = database, experiment, where
        self._names = list(objectives_of(experiment).names)
        space = build_space_for(ExperimentSpec.model_validate(experiment.spec), experiment.facts)
        self._genes = {
            f"gene:{v.name}": float if isinstance(v, Real) else int if isinstance(v, Integer) else str
            for v in space.variables
        }

    def csv(self) -> Iterator[str]:
        """Yields the lines of the table: scores by split and objective, then reasons, costs and genes."""
        columns = self._columns()
        yield _lines([[*columns]])
        for chunk in self._chunks():
            yield _lines([self._cells(row, view) for row, view in chunk])

    def ndjson(self) -> Iterator[str]:
        """Yields a line per candidate, with all that a page has of it."""
        for chunk in self._chunks():
            yield "".join(f"{view.model_dump_json()}\n" for _, view in chunk)

    def parquet(self) -> Iterator[bytes]:
        """Returns the table's file, with the columns of the CSV and their types.

        Raises:
            MissingLibraryError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingLibraryError("Parquet", "pyarrow", "parquet") from error
        types = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
        schema = pa.schema([(name, types[kind]) for name, kind in self._columns().items()])
        file = SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115 - closed when it has been sent
        with pq.ParquetWriter(file, schema) as writer:
            for chunk in self._chunks():
                cells = zip(*(self._cells(row, view) for row, view in chunk), strict=True)
                arrays = [pa.array(c, f.type) for c, f in zip(cells, schema, strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
        file.seek(0)
        return _read(file)

    def _columns(self) -> dict[str, type]:
        parts = ("", ":stderr")
        scores = [f"{split}:{name}{part}" for split in SPLITS for name in self._names for part in parts]
        return {**_FIRST, **dict.fromkeys(scores, float), **_REASONS, **_LAST, **self._genes}

    def _chunks(self) -> Iterator[list[tuple[CandidateRow, CandidateView]]]:
        after = -1
        while True:
            with self.database.reading() as session:
                repository = Repository(session)
                front = front_numbers(repository, self.experiment.id)
                rows = repository.candidates(self.experiment.id, after=after, limit=CHUNK, where=self.where)
            if not rows:
                return
            after = rows[-1].number
            yield [(row, candidate_view(row, front=front)) for row in rows]

    def _cells(self, row: CandidateRow, view: CandidateView) -> list[Cell]:
        cells: list[Cell] = [
            view.number, view.generation, view.kind.value, view.label, view.status.value, view.on_front,
            view.digest, view.operator, view.violation,
        ]  # fmt: skip
        for split in SPLITS:
            found = {score.benchmark: score for score in view.scores.get(split, ())}
            for name in self._names:
                score = found.get(name)
                cells += [score.value, score.stderr] if score else [None, None]
        failure = view.failure
        cells += [view.infeasible_reason, *((failure.code, failure.cause) if failure else (None, None))]
        cells += [getattr(view.timings, name) for name in _SECONDS]
        cells += [view.attempts, view.worker, view.created_at.isoformat()]
        cells.append(view.settled_at.isoformat() if view.settled_at else None)
        return cells + list(row.genome or [None] * len(self._genes))


def _read(file: Any) -> Iterator[bytes]:  # noqa: ANN401 - a file
    with file:
        while block := file.read(1 << 16):
            yield block


def _lines(rows: Sequence[Sequence[Cell]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([[_harmless(cell) for cell in row] for row in rows])
    return buffer.getvalue()


def _harmless(cell: Cell) -> Cell:
    """Keeps spreadsheets from taking a text for a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
