"""Candidates in the order of a column, a page at a time: the database sorts, whatever their number."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from evaluators import Split
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.store.models import CandidateRow, EvaluationRow

NOT_PROPOSED_BY_A_SEARCH = tuple(kind for kind in CandidateKind if kind.is_baseline)
NEWEST = 1_000  # candidates that tell how the experiment's are made
WITHOUT_SCORES = (CandidateStatus.FAILED, CandidateStatus.INFEASIBLE)


@dataclass(frozen=True, slots=True)
class Order:
    """How candidates are sorted: by a column, or by an objective's score on a split.

    Attributes:
        column: One of `COLUMNS`, or None for `objective`.
        objective: An objective's name.
        descending: Largest first; candidates without a value come last either way.
    """

    column: str | None = "number"
    objective: str | None = None
    descending: bool = True


@dataclass(frozen=True, slots=True)
class ScoreBound:
    """Between which values an objective's score must lie; None bounds nothing."""

    objective: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class CandidateFilter:
    """Which candidates are wanted; what is empty or None asks for nothing.

    Attributes:
        among: Numbers.
        scores: On the split that the candidates are shown on.
        generations: The first and the last.
        operator: How they were made.
    """

    status: Collection[CandidateStatus] = ()
    kinds: Collection[CandidateKind] = ()
    among: Collection[int] | None = None
    scores: Collection[ScoreBound] = ()
    generations: tuple[float | None, float | None] = (None, None)
    operator: str = ""


COLUMNS: dict[str, ColumnElement[Any]] = {
    "number": CandidateRow.number.expression,
    "label": CandidateRow.label.expression,
    "status": CandidateRow.status.expression,
    "generation": CandidateRow.generation.expression,
    "seconds": CandidateRow.seconds["merge"].as_float() + CandidateRow.seconds["evaluate"].as_float(),
}


def numbers_in_order(
    session: Session,
    experiment_id: UUID,
    order: Order,
    wanted: CandidateFilter,
    *,
    split: Split = "search",
    limit: int,
    offset: int = 0,
) -> tuple[list[int], int]:
    """Returns the numbers of one page of candidates, and how many there are on all pages.

    Args:
        session: Of the database.
        experiment_id: Whose candidates.
        order: Of the candidates; equal ones are sorted by their number.
        wanted: Which of them.
        split: Whose scores are compared.
        limit: The size of a page.
        offset: How many candidates come before the page.
    """
    fits = [CandidateRow.experiment_id == experiment_id, *_conditions(wanted, split)]
    total = session.scalar(select(func.count()).select_from(CandidateRow).where(*fits)) or 0
    query = _sorted(select(CandidateRow.number).where(*fits), order, split)
    return list(session.scalars(query.limit(limit).offset(offset))), total


def _conditions(wanted: CandidateFilter, split: Split) -> Iterator[ColumnElement[bool]]:
    row = CandidateRow
    if wanted.status:
        yield row.status.in_(wanted.status)
    if wanted.kinds:
        yield row.kind.in_(wanted.kinds)
    if wanted.among is not None:
        yield row.number.in_(wanted.among)
    if wanted.operator:
        yield row.operator == wanted.operator
    first, last = wanted.generations
    if first is not None:
        yield row.generation >= first
    if last is not None:
        yield row.generation <= last
    for bound in wanted.scores:
        score = aliased(EvaluationRow)  # the table may be sorted by another one
        query = select(score.candidate_id).where(
            score.candidate_id == row.id, score.split == split, score.benchmark == bound.objective
        )
        if bound.low is not None:
            query = query.where(score.value >= bound.low)
        if bound.high is not None:
            query = query.where(score.value <= bound.high)
        yield query.exists()


def operators_in_use(session: Session, experiment_id: UUID) -> list[str]:
    """Returns how an experiment's newest candidates were made, in the order of letters."""
    newest = (
        select(CandidateRow.operator)
        .where(CandidateRow.experiment_id == experiment_id)
        .order_by(CandidateRow.number.desc())
        .limit(NEWEST)
    )
    return sorted({found for found in session.scalars(newest) if found})


def _sorted(query: Select[int], order: Order, split: Split) -> Select[int]:
    if order.objective is None:
        value = COLUMNS[order.column or "number"]
    else:
        value = EvaluationRow.value.expression
        query = query.outerjoin(
            EvaluationRow,
            and_(
                EvaluationRow.candidate_id == CandidateRow.id,
                EvaluationRow.split == split,
                EvaluationRow.benchmark == order.objective,
            ),
        )
    number = CandidateRow.number
    directed = (value.desc(), number.desc()) if order.descending else (value.asc(), number.asc())
    return query.order_by(value.is_(None), *directed)
