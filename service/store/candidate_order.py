"""Candidates in the order of a column, a page at a time: the database sorts, whatever their number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from evaluators import Split
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.store.models import CandidateRow, EvaluationRow

NOT_PROPOSED_BY_A_SEARCH = tuple(kind for kind in CandidateKind if kind.is_baseline)
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
    *,
    split: Split = "search",
    status: Collection[CandidateStatus] = (),
    kinds: Collection[CandidateKind] = (),
    among: Collection[int] | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[list[int], int]:
    """Returns the numbers of one page of candidates, and how many there are on all pages.

    Args:
        session: Of the database.
        experiment_id: Whose candidates.
        order: Of the candidates; equal ones are sorted by their number.
        split: Whose scores are compared.
        status: Those alone; empty takes all.
        kinds: Those alone; empty takes all.
        among: Numbers; None takes all.
        limit: The size of a page.
        offset: How many candidates come before the page.
    """
    wanted: list[ColumnElement[bool]] = [CandidateRow.experiment_id == experiment_id]
    if status:
        wanted.append(CandidateRow.status.in_(status))
    if kinds:
        wanted.append(CandidateRow.kind.in_(kinds))
    if among is not None:
        wanted.append(CandidateRow.number.in_(among))
    total = session.scalar(select(func.count()).select_from(CandidateRow).where(*wanted)) or 0
    query = _sorted(select(CandidateRow.number).where(*wanted), order, split)
    return list(session.scalars(query.limit(limit).offset(offset))), total


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
