"""Candidates by column: few numbers of every scored one in one query, for fronts of many thousands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from evaluators import Split
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.store.models import CandidateRow, EvaluationRow, EventRow

_ONE_ANEW = frozenset({"candidate.settled", "candidate.examined"})
_ALL_ANEW = frozenset({"candidate.reevaluated", "experiment.extended"})
"""Events after which the scores, or the numbers, of any candidate may be others."""
_MANY = 2_000  # changed candidates from which reading all is as quick


class ScoredCandidate(NamedTuple):
    """A candidate that has scores; `told` is its place in the order of telling, None before."""

    number: int
    kind: CandidateKind
    label: str | None
    violation: float | None
    told: int | None


class ScoreCell(NamedTuple):
    """One score of a candidate; the benchmark has an objective's name."""

    number: int
    benchmark: str
    value: float
    stderr: float
    items: int
    is_part: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened in an experiment since an event.

    Attributes:
        newest: The experiment's newest event.
        numbers: Candidates whose scores may be others; None where any may be.
    """

    newest: int
    numbers: frozenset[int] | None


def changes_since(session: Session, experiment_id: UUID, event: int, told: int) -> Changes:
    """Returns which candidates' scores may be others than they were at an event.

    Args:
        session: Of the database.
        experiment_id: Whose candidates.
        event: The newest that was known then.
        told: The last place in the order of telling that was known then, -1 before the first.
    """
    of_experiment = EventRow.experiment_id == experiment_id
    newest = session.scalar(select(func.max(EventRow.id)).where(of_experiment)) or 0
    if newest == event:
        return Changes(newest, frozenset())
    query = select(EventRow.kind, EventRow.payload["number"].as_integer()).where(
        of_experiment, EventRow.id > event, EventRow.kind.in_(_ONE_ANEW | _ALL_ANEW)
    )
    found = session.execute(query.limit(_MANY + 1)).all()
    if len(found) > _MANY or any(kind in _ALL_ANEW for kind, _ in found):
        return Changes(newest, None)
    # What constraints say of a candidate is known when the optimizer is told of it.
    later = select(CandidateRow.number).where(
        CandidateRow.experiment_id == experiment_id, CandidateRow.told > told
    )
    return Changes(newest, frozenset(number for _, number in found) | frozenset(session.scalars(later)))


def scored_candidates(
    session: Session, experiment_id: UUID, numbers: Collection[int] | None = None
) -> Sequence[ScoredCandidate]:
    """Returns the candidates that have scores, by number; of `numbers` alone where they are given."""
    row = CandidateRow
    query = select(row.number, row.kind, row.label, row.violation, row.told).where(
        row.experiment_id == experiment_id, row.status == CandidateStatus.SCORED
    )
    if numbers is not None:
        query = query.where(row.number.in_(list(numbers)))
    return [ScoredCandidate(*found) for found in session.execute(query.order_by(row.number))]


def score_cells(
    session: Session, experiment_id: UUID, split: Split, numbers: Collection[int] | None = None
) -> Sequence[ScoreCell]:
    """Returns the scores of scored candidates on a split; of `numbers` alone where they are given."""
    row, score = CandidateRow, EvaluationRow
    query = (
        select(
            row.number,
            score.benchmark,
            score.value,
            score.stderr,
            score.items,
            score.item_indices.is_not(None),
        )
        .join(score, score.candidate_id == row.id)
        .where(row.experiment_id == experiment_id, row.status == CandidateStatus.SCORED, score.split == split)
    )
    if numbers is not None:
        query = query.where(row.number.in_(list(numbers)))
    return [ScoreCell(*found) for found in session.execute(query)]


class Origin(NamedTuple):
    """How a candidate came about; the method is empty where it was not asked for."""

    number: int
    generation: int
    operator: str | None
    method: str | None


def origins(
    session: Session, experiment_id: UUID, numbers: Collection[int] | None = None, *, methods: bool
) -> Sequence[Origin]:
    """Returns the origins of scored candidates, by number; of `numbers` alone where they are given.

    Args:
        session: Of the database.
        experiment_id: Whose candidates.
        numbers: None takes all.
        methods: Also read the method out of every recipe, which takes as long as all else.
    """
    row = CandidateRow
    method = row.recipe["method"].as_string() if methods else literal("")
    query = select(row.number, row.generation, row.operator, method).where(
        row.experiment_id == experiment_id, row.status == CandidateStatus.SCORED
    )
    if numbers is not None:
        query = query.where(row.number.in_(list(numbers)))
    return [Origin(*found) for found in session.execute(query.order_by(row.number))]


def measures_of(session: Session, experiment_id: UUID) -> Sequence[tuple[int, list[float]]]:
    """Returns the measures of scored candidates that keep the constraints and have some, by number."""
    row = CandidateRow
    query = select(row.number, row.measures, row.violation).where(
        row.experiment_id == experiment_id,
        row.status == CandidateStatus.SCORED,
        row.measures.is_not(None),
    )
    found = session.execute(query.order_by(row.number))
    return [(number, measures) for number, measures, violation in found if measures and not violation]


class Work(NamedTuple):
    """What a worker did for a candidate; merge and evaluate are seconds."""

    number: int
    status: str
    worker: str | None
    merge: float
    evaluate: float
    settled_at: datetime


def work_done(session: Session, experiment_id: UUID, *, limit: int) -> Sequence[Work]:
    """Returns what workers did for the candidates that were settled last, by number."""
    row = CandidateRow
    query = (
        select(row.number, row.status, row.worker, row.seconds, row.settled_at)
        .where(row.experiment_id == experiment_id, row.settled_at.is_not(None), row.worker.is_not(None))
        .order_by(row.number.desc())
        .limit(limit)
    )
    found = reversed(session.execute(query).all())
    return [
        Work(number, status.value, worker, seconds.get("merge", 0.0), seconds.get("evaluate", 0.0), settled)
        for number, status, worker, seconds, settled in found
        if settled is not None
    ]


def genomes(session: Session, experiment_id: UUID, *, limit: int) -> Sequence[tuple[int, list[Any]]]:
    """Returns the genomes of the newest scored candidates that have one, by number."""
    row = CandidateRow
    query = (
        select(row.number, row.genome)
        .where(row.experiment_id == experiment_id, row.status == CandidateStatus.SCORED)
        .order_by(row.number.desc())
        .limit(limit)
    )
    return [(number, genome) for number, genome in reversed(session.execute(query).all()) if genome]
