"""ScoreColumns: an experiment's scores on one split as arrays, kept and renewed by what changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import moocore
import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from evaluators import Split
from service.experiment.candidate import CandidateKind
from service.experiment.objectives import Objectives
from service.store.columns import changes_since, score_cells, scored_candidates
from service.store.models import ExperimentRow
from service.store.rows import objectives_of

MOST_KEPT = 32  # columns of experiments and splits; 50,000 candidates with 6 objectives take 6 MB

_IS_BASELINE = {kind: kind.is_baseline for kind in CandidateKind}


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """The scored candidates of one experiment on one split, by ascending number.

    Attributes:
        newest: The experiment's newest event that they include.
        numbers: (n,) int64.
        kinds, labels: n of each.
        violations: (n,) float64, 0 where all constraints hold.
        told: (n,) int64, the places in the order of telling; -1 before.
        values, errors: (n, m) float64, scores in their own units and their standard errors; NaN where
            the split was not asked.
        items: (n, m) int64, how many items were asked.
        parts: (n, m) bool, where these were a part of the split.
    """

    split: Split
    objectives: Objectives
    newest: int
    numbers: NDArray[np.int64]
    kinds: NDArray[np.object_]
    labels: NDArray[np.object_]
    violations: NDArray[np.float64]
    told: NDArray[np.int64]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    items: NDArray[np.int64]
    parts: NDArray[np.bool_]

    @property
    def signs(self) -> NDArray[np.float64]:
        """(m,) What scores are multiplied with to become fitness."""
        return np.array([objective.sign for objective in self.objectives])

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(n,) Where every objective has a score."""
        return np.asarray(np.isfinite(self.values).all(axis=1))

    @property
    def is_baseline(self) -> NDArray[np.bool_]:
        """(n,) Where no optimizer proposed the candidate."""
        found = (_IS_BASELINE[kind] for kind in self.kinds.tolist())
        return np.fromiter(found, dtype=bool, count=len(self.kinds))

    @property
    def scalars(self) -> NDArray[np.float64]:
        """(n,) The weighted mean that single-objective optimizers climb; NaN where a score is missing."""
        weights = np.array(self.objectives.weights)
        return np.asarray(self.values * self.signs @ weights / weights.sum())

    def front(self) -> NDArray[np.int64]:
        """Returns the rows of the candidates that no other dominates and that keep all constraints.

        Of equals the first is kept, the baselines before all others.
        """
        rows = np.flatnonzero(self.complete & (self.violations == 0))
        rows = rows[np.argsort(~self.is_baseline[rows], kind="stable")]
        if not len(rows):
            return rows
        return np.sort(rows[moocore.is_nondominated(self.values[rows] * self.signs, maximise=True)])

    def records(self) -> NDArray[np.int64]:
        """Returns, of one objective alone, the rows that were better than all before them."""
        if len(self.objectives) != 1:
            return np.zeros(0, dtype=np.int64)
        fitness = np.where(self.complete, self.scalars, -np.inf)
        before = np.concatenate(([-np.inf], np.maximum.accumulate(fitness)[:-1]))
        return np.flatnonzero(fitness > before)

    def worst_baseline(self) -> tuple[float, ...] | None:
        """Returns the worst fitness of the baselines in each objective; of all where there are none."""
        rows = self.complete & (self.violations == 0)
        base = rows & self.is_baseline
        chosen = base if base.any() else rows
        return tuple((self.values[chosen] * self.signs).min(axis=0).tolist()) if chosen.any() else None


def read_columns(session: Session, experiment: ExperimentRow, split: Split) -> ScoreColumns:
    """Returns an experiment's columns, read anew."""
    newest = changes_since(session, experiment.id, 0, 0).newest
    return _read(session, experiment.id, split, objectives_of(experiment), newest, None)


class ColumnsCache:
    """Columns that were read before, renewed where the experiment's events say that they changed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, Split], ScoreColumns] = OrderedDict()
        self._lock = threading.Lock()

    def columns(self, session: Session, experiment: ExperimentRow, split: Split) -> ScoreColumns:
        """Returns an experiment's columns as they are now."""
        key = (experiment.id, split)
        with self._lock:
            known = self._kept.get(key)
        found = (
            read_columns(session, experiment, split)
            if known is None
            else _renewed(session, experiment, known)
        )
        with self._lock:
            self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found


def _renewed(session: Session, experiment: ExperimentRow, known: ScoreColumns) -> ScoreColumns:
    changes = changes_since(session, experiment.id, known.newest, int(known.told.max(initial=-1)))
    if changes.newest == known.newest:
        return known
    # In a rotating search a candidate's value changes whenever others are told.
    if changes.numbers is None or experiment.spec.get("rotation"):
        return _read(session, experiment.id, known.split, known.objectives, changes.newest, None)
    if not changes.numbers:
        return replace(known, newest=changes.newest)
    fresh = _read(session, experiment.id, known.split, known.objectives, changes.newest, changes.numbers)
    return _joined(known, fresh)


def _read(
    session: Session,
    experiment_id: UUID,
    split: Split,
    objectives: Objectives,
    newest: int,
    numbers: Collection[int] | None,
) -> ScoreColumns:
    rows = scored_candidates(session, experiment_id, numbers)
    shape = len(rows), len(objectives)
    place = {row.number: index for index, row in enumerate(rows)}
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    items, parts = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
    axes = {name: index for index, name in enumerate(objectives.names)}
    found = score_cells(session, experiment_id, split, numbers)
    cells = [cell for cell in found if cell.number in place and cell.benchmark in axes]
    if cells:
        where = [place[cell.number] for cell in cells], [axes[cell.benchmark] for cell in cells]
        values[where] = [cell.value for cell in cells]
        errors[where] = [cell.stderr for cell in cells]
        items[where] = [cell.items for cell in cells]
        parts[where] = [cell.is_part for cell in cells]
    return ScoreColumns(
        split,
        objectives,
        newest,
        numbers=np.array([row.number for row in rows], dtype=np.int64),
        kinds=np.array([row.kind for row in rows], dtype=object),
        labels=np.array([row.label for row in rows], dtype=object),
        violations=np.array([row.violation or 0.0 for row in rows], dtype=np.float64),
        told=np.array([-1 if row.told is None else row.told for row in rows], dtype=np.int64),
        values=values,
        errors=errors,
        items=items,
        parts=parts,
    )


def _joined(known: ScoreColumns, fresh: ScoreColumns) -> ScoreColumns:
    """Returns the known columns with the fresh rows in the place of theirs."""
    kept = ~np.isin(known.numbers, fresh.numbers)
    order = np.argsort(np.concatenate((known.numbers[kept], fresh.numbers)), kind="stable")
    arrays = ("numbers", "kinds", "labels", "violations", "told", "values", "errors", "items", "parts")
    joined: dict[str, Any] = {
        name: np.concatenate((getattr(known, name)[kept], getattr(fresh, name)))[order] for name in arrays
    }
    return replace(fresh, **joined)
