"""Attempts: what was handed to workers, written down before it was.

A worker inside the controller's process takes the controller along when it dies.  What was out then
is known from these rows, so that one candidate cannot kill one controller after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table, bindparam, case, func, insert, select, update
from sqlalchemy.orm import Session

from service.store.models import AttemptRow
from service.store.types import new_id, now
from workers.protocol.messages import Assignment

ANSWERED, DROPPED, CRASHED = "answered", "dropped", "crashed"
TOLD = "told"  # crashed, and counted no more
PREPARATION = "preparation"  # stands where an assignment has its split
MOST_CRASHES = 2  # controllers that may end with a candidate out, before it is to blame
_ATTEMPTS: Table = AttemptRow.__table__  # type: ignore[assignment]
_ANSWER = (
    update(_ATTEMPTS)
    .where(_ATTEMPTS.c.id == bindparam("key"))
    .values(ended_at=bindparam("moment", type_=_ATTEMPTS.c.ended_at.type), ending=ANSWERED)
)


class Out(NamedTuple):
    """What was handed to workers and has not come back: a candidate, the split it is asked, since when."""

    number: int
    split: str
    started_at: datetime


def out_now(session: Session, experiment_id: UUID, *, limit: int) -> tuple[list[Out], int]:
    """Returns what of an experiment is out, the oldest first, and how much that is in all."""
    wanted = (
        AttemptRow.experiment_id == experiment_id,
        AttemptRow.ending.is_(None),
        AttemptRow.split != PREPARATION,
    )
    total = session.scalar(select(func.count()).select_from(AttemptRow).where(*wanted)) or 0
    query = select(AttemptRow.number, AttemptRow.split, AttemptRow.started_at).where(*wanted)
    found = session.execute(query.order_by(AttemptRow.started_at, AttemptRow.number).limit(limit))
    return [Out(*row) for row in found], total


class Attempts:
    """One controller's attempts at one experiment's assignments.

    It opens no transactions: each method's session is that of its caller, which holds the lease.
    """

    def __init__(self, experiment_id: UUID, owner: str) -> None:
        self.experiment_id, self.owner = experiment_id, owner
        self._crashes: Counter[tuple[UUID, str]] = Counter()  # by assignment and split
        self._out: dict[tuple[UUID, str], UUID] = {}
        self._answered: list[UUID] = []  # ended, and not yet written down

    def inherit(self, session: Session) -> None:
        """Ends what earlier controllers had out, and learns what was out when they died.

        What this same controller left open, as the database was away, it dropped itself.
        """
        ending = case((AttemptRow.owner == self.owner, DROPPED), else_=CRASHED)
        self._end(session, AttemptRow.ending.is_(None), ending=ending)
        query = select(AttemptRow.assignment, AttemptRow.split, func.count()).where(
            AttemptRow.experiment_id == self.experiment_id,
            AttemptRow.ending == CRASHED,
            AttemptRow.in_process,
        )
        grouped = session.execute(query.group_by(AttemptRow.assignment, AttemptRow.split))
        self._crashes = Counter({(assignment, split): count for assignment, split, count in grouped})

    def poison(self, assignments: Sequence[Assignment]) -> dict[UUID, int]:
        """Returns those that were out when controllers died, too often, and how often."""
        counts = {a.candidate: self._crashes[a.candidate, a.split] for a in assignments}
        return {key: count for key, count in counts.items() if count >= MOST_CRASHES}

    def begin(self, session: Session, assignments: Sequence[Assignment], *, in_process: bool) -> None:
        """Notes assignments that are about to be handed out."""
        self.flush(session)
        rows = [self._row(assignment, in_process=in_process) for assignment in assignments]
        session.execute(insert(_ATTEMPTS), rows)
        self._out |= {(row["assignment"], row["split"]): row["id"] for row in rows}

    def begin_preparation(self, session: Session, *, in_process: bool) -> None:
        """Notes that the workers are about to get ready for the experiment."""
        row = self._row_for(self.experiment_id, PREPARATION, in_process=in_process)
        session.execute(insert(AttemptRow), [row])
        self._out[self.experiment_id, PREPARATION] = row["id"]

    def preparation_crashes(self) -> int:
        """Returns how many controllers in a row died while workers got ready inside of them."""
        return self._crashes[self.experiment_id, PREPARATION]

    def preparation_over(self, session: Session) -> None:
        """Ends the preparation, and the row of crashes: it succeeded, or is given up."""
        self.answered(self.experiment_id, PREPARATION)
        self.flush(session)
        self._end(session, (AttemptRow.split == PREPARATION) & (AttemptRow.ending == CRASHED), ending=TOLD)
        del self._crashes[self.experiment_id, PREPARATION]

    def answered(self, assignment: UUID, split: str) -> None:
        """Takes in that a worker answered; written down with whatever is written next."""
        if (key := self._out.pop((assignment, split), None)) is not None:
            self._answered.append(key)

    def flush(self, session: Session) -> None:
        """Writes down what was answered."""
        if self._answered:
            moment = now()
            session.connection().execute(_ANSWER, [{"key": k, "moment": moment} for k in self._answered])
            self._answered = []

    def let_go(self, session: Session) -> None:
        """Ends everything that is out: the controller steps back on purpose."""
        self.flush(session)
        self._end(session, AttemptRow.ending.is_(None), ending=DROPPED)
        self._out.clear()

    def _end(self, session: Session, which: Any, *, ending: Any) -> None:  # noqa: ANN401 - SQL
        session.execute(
            update(AttemptRow)
            .where(AttemptRow.experiment_id == self.experiment_id, which)
            .values(ended_at=now(), ending=ending)
            .execution_options(synchronize_session=False)
        )

    def _row(self, assignment: Assignment, *, in_process: bool) -> dict[str, Any]:
        row = self._row_for(assignment.candidate, assignment.split, in_process=in_process)
        return row | {"number": assignment.number, "attempt": assignment.attempt}

    def _row_for(self, assignment: UUID, split: str, *, in_process: bool) -> dict[str, Any]:
        return {
            "id": new_id(),
            "experiment_id": self.experiment_id,
            "assignment": assignment,
            "number": -1,
            "split": split,
            "attempt": 1,
            "owner": self.owner,
            "in_process": in_process,
            "started_at": now(),
        }
