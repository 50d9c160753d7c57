"""The queue of recipes that people want tried: one waits until a candidate has its id."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from search_spaces import Recipe
from service.experiment.candidate import CandidateKind
from service.experiment.enqueued import Enqueued, EnqueuedBy
from service.store.models import CandidateRow, EnqueuedRow
from service.store.rows import recipe_json

_WAITS = ~exists().where(CandidateRow.id == EnqueuedRow.id)


def enqueue(
    session: Session,
    experiment_id: UUID,
    recipe: Recipe,
    *,
    label: str | None,
    by: EnqueuedBy,
    ancestor: int | None,
) -> EnqueuedRow:
    """Adds a recipe to an experiment's queue, behind those that wait."""
    row = EnqueuedRow(
        experiment_id=experiment_id, recipe=recipe_json(recipe), label=label, made_by=by, ancestor=ancestor
    )
    session.add(row)
    session.flush()
    return row


def waiting_recipes(session: Session, experiment_id: UUID) -> list[Enqueued]:
    """Returns the recipes that are no candidates yet, the first put in first."""
    query = select(EnqueuedRow).where(EnqueuedRow.experiment_id == experiment_id, _WAITS)
    return [
        Enqueued(row.id, Recipe.model_validate(row.recipe), row.label, EnqueuedBy(row.made_by), row.ancestor)
        for row in session.scalars(query.order_by(EnqueuedRow.id))
    ]


def count_waiting(session: Session, experiment_id: UUID) -> int:
    """Returns how many recipes are no candidates yet."""
    query = select(func.count()).select_from(EnqueuedRow)
    return session.scalar(query.where(EnqueuedRow.experiment_id == experiment_id, _WAITS)) or 0


def count_searched(session: Session, experiment_id: UUID) -> int:
    """Returns how many candidates the experiment has; a distribution's mean takes no place of a search's."""
    query = select(func.count()).select_from(CandidateRow)
    mine = CandidateRow.experiment_id == experiment_id
    return session.scalar(query.where(mine, CandidateRow.kind != CandidateKind.MEAN)) or 0


def queue_of(
    session: Session, experiment_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[tuple[EnqueuedRow, int | None]]:
    """Returns what was put into the queue, in order, each with the number that it got, if it has."""
    query = (
        select(EnqueuedRow, CandidateRow.number)
        .outerjoin(CandidateRow, CandidateRow.id == EnqueuedRow.id)
        .where(EnqueuedRow.experiment_id == experiment_id)
        .order_by(EnqueuedRow.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(EnqueuedRow.id > after)
    return [(row, number) for row, number in session.execute(query)]
