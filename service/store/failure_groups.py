"""Failures that are alike, counted: twenty-seven candidates that ran out of memory are one fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.models import CandidateRow

MOST_GROUPS = 20


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Candidates that failed alike.

    Attributes:
        code, cause, remedy: Of the failures; infeasible candidates have the code `infeasible`.
        count: How many there are.
        first: The lowest of their numbers.
    """

    code: str
    cause: str
    remedy: str
    count: int
    first: int


def failure_groups(session: Session, experiment_id: UUID) -> Sequence[FailureGroup]:
    """Returns the failures of an experiment's candidates, the most frequent first."""
    row = CandidateRow
    code = func.coalesce(row.failure["code"].as_string(), "infeasible")
    cause = func.coalesce(row.failure["cause"].as_string(), row.infeasible_reason)
    remedy = func.coalesce(row.failure["remedy"].as_string(), "")
    query = (
        select(code, cause, remedy, func.count().label("count"), func.min(row.number))
        .where(row.experiment_id == experiment_id, cause.is_not(None))
        .group_by(code, cause, remedy)
        .order_by(func.count().desc(), func.min(row.number))
        .limit(MOST_GROUPS)
    )
    return [FailureGroup(*found) for found in session.execute(query)]
