"""Experiments by what people call them and note about them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.experiment.status import ExperimentStatus
from service.store.models import ExperimentRow


@dataclass(frozen=True, slots=True)
class ExperimentFilter:
    """Which experiments are wanted; what is empty asks for nothing.

    Attributes:
        text: Part of the name, of a tag or of the notes, whatever the case.
    """

    text: str = ""
    statuses: Collection[ExperimentStatus] = ()
    tag: str = ""
    starred: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether all experiments are wanted."""
        return not (self.text or self.statuses or self.tag or self.starred)


def experiments_that_fit(session: Session, wanted: ExperimentFilter) -> list[UUID]:
    """Returns the experiments that fit, the newest first."""
    row = ExperimentRow
    notes = row.spec["notes"].as_string()
    query = select(row.id, row.name, row.tags, notes).where(row.deleted_at.is_(None))
    query = query.order_by(row.id.desc())
    if wanted.statuses:
        query = query.where(row.status.in_(wanted.statuses))
    if wanted.starred:
        query = query.where(row.starred)
    text = wanted.text.casefold()
    found = []
    for key, name, tags, noted in session.execute(query):
        if wanted.tag and wanted.tag not in (tags or ()):
            continue
        if any(text in part.casefold() for part in (name, noted or "", *(tags or ()))):
            found.append(key)
    return found


def tags_in_use(session: Session) -> list[str]:
    """Returns all tags, in the order of letters."""
    found = session.scalars(select(ExperimentRow.tags).where(ExperimentRow.deleted_at.is_(None)))
    return sorted({tag for tags in found for tag in tags or ()})
