"""Where candidates come from, by column: generation, operator and merge method of many in one query."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from service.experiment.candidate import CandidateStatus
from service.store.models import CandidateRow


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
