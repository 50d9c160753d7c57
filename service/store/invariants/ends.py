"""Invariants of candidates: asked once, ended once, told once, and no more of them than allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Executable, and_, case, func, or_, select
from sqlalchemy.orm import Session

from service.experiment.candidate import ADDED_KINDS, CandidateKind, CandidateStatus
from service.experiment.status import ExperimentStatus
from service.search.dispatcher import MOST_ATTEMPTS
from service.store.invariants.invariant import Invariant, Row
from service.store.models import AttemptRow, CandidateRow, EvaluationRow, EventRow, ExperimentRow

_C, _E = CandidateRow, ExperimentRow
_S, _K = CandidateStatus, CandidateKind
_NAMED = (_E.name.label("experiment"), _C.number, _C.status)
_SCORES = select(func.count()).where(EvaluationRow.candidate_id == _C.id, EvaluationRow.split == "search")
_SETTLED = (_S.SCORED, _S.PRUNED, _S.FAILED)


def _candidates(*broken: Any) -> Executable:  # noqa: ANN401 - SQL
    """Returns the query for candidates of which one of these is true."""
    return select(*_NAMED).join(_E, _E.id == _C.experiment_id).where(or_(*broken))


def _per_experiment(rows: Any, which: Any, broken: Any) -> Executable:  # noqa: ANN401 - SQL
    """Returns the query for experiments with rows of which, taken together, this is true."""
    return select(_E.name.label("experiment"), rows).join(_C).where(which).group_by(_E.name).having(broken)


_ENDED_IS_ENDED = _candidates(
    (_C.status == _S.PROPOSED) != (_C.settled_at.is_(None)),
    (_C.status == _S.FAILED) != (_C.failure.is_not(None)),
    (_C.status == _S.INFEASIBLE) != (_C.infeasible_reason.is_not(None)),
    and_(_C.status.in_((_S.SCORED, _S.PRUNED)), _SCORES.scalar_subquery() == 0),
    and_(_C.status.not_in((_S.SCORED, _S.PRUNED)), _SCORES.scalar_subquery() > 0),
)
_NUMBERS = _per_experiment(
    (func.max(_C.number) + 1 - func.count()).label("missing"),
    _C.kind.not_in(ADDED_KINDS),
    func.max(_C.number) + 1 != func.count(),
)
_PLACES = _per_experiment(
    (func.max(_C.told) + 1 - func.count(_C.told)).label("missing"),
    _C.told.is_not(None),
    or_(func.max(_C.told) + 1 != func.count(_C.told), func.min(_C.told) != 0),
)
_OPEN_IN_AN_ENDED_ONE = _candidates(
    and_(_C.status == _S.PROPOSED, _E.status.in_((ExperimentStatus.SUCCEEDED, ExperimentStatus.CANCELLED)))
)
_TOLD_BEFORE_THEIR_END = _candidates(
    and_(_C.told.is_not(None), _C.status.in_((_S.PROPOSED, _S.CANCELLED))),
    and_(_C.asked_after.is_not(None), _C.asked_after > _C.number),
)
_TOO_MANY_ATTEMPTS = _candidates(_C.attempts > MOST_ATTEMPTS)
_ANSWERED_IN_VAIN = (
    select(*_NAMED, AttemptRow.attempt)
    .join(_E, _E.id == _C.experiment_id)
    .join(AttemptRow, and_(AttemptRow.assignment == _C.id, AttemptRow.split == "search"))
    .where(AttemptRow.ending == "answered", AttemptRow.attempt >= MOST_ATTEMPTS, _C.status == _S.PROPOSED)
)


def _settled_events(session: Session) -> Iterator[Row]:
    """Candidates that have not one event `candidate.settled` if an answer ended them, else none."""
    number = EventRow.payload["number"].as_integer()
    told = (
        select(EventRow.experiment_id, number.label("number"), func.count().label("events"))
        .where(EventRow.kind == "candidate.settled")
        .group_by(EventRow.experiment_id, number)
        .subquery()
    )
    wanted = case((_C.status.in_(_SETTLED), 1), else_=0)
    events = func.coalesce(told.c.events, 0)
    query = (
        select(*_NAMED, events.label("events"))
        .join(_E, _E.id == _C.experiment_id)
        .outerjoin(told, and_(told.c.experiment_id == _C.experiment_id, told.c.number == _C.number))
        .where(events != wanted, _C.kind.not_in(ADDED_KINDS))
    )
    yield from (dict(row) for row in session.execute(query).mappings())


def _budgets(session: Session) -> Iterator[Row]:
    """Experiments with more evolved candidates, or more failures, than their budget allows."""
    evolved = func.sum(case((_C.kind.in_((_K.EVOLVED, _K.ENQUEUED)), 1), else_=0))
    failed = func.sum(case((and_(_C.status == _S.FAILED, _C.kind.not_in(ADDED_KINDS)), 1), else_=0))
    query = select(_E.name, _E.status, _E.spec, evolved, failed).join(_C).group_by(_E.id)
    for name, status, spec, count, failures in session.execute(query):
        budget = spec.get("budget", {})
        if count > budget.get("candidates", count):
            yield {"experiment": name, "evolved": count, "allowed": budget["candidates"]}
        if status is ExperimentStatus.SUCCEEDED and failures > budget.get("failures", 20):
            yield {"experiment": name, "failed": failures, "allowed": budget.get("failures", 20)}


INVARIANTS = (
    Invariant(
        "I1",
        "one end each",
        "Candidates are numbered without a gap; each is open, or ended exactly once, and looks like it.",
        (_NUMBERS, _ENDED_IS_ENDED, _OPEN_IN_AN_ENDED_ONE),
    ),
    Invariant(
        "I2",
        "one order",
        "The order of telling has no gap, and of each end that a worker's answer made there is one event.",
        (_PLACES, _settled_events),
    ),
    Invariant(
        "I6",
        "no lost score",
        "What was told has ended, nothing was asked after more than precedes it, no last answer was lost.",
        (_TOLD_BEFORE_THEIR_END, _ANSWERED_IN_VAIN),
    ),
    Invariant(
        "I11",
        "bounded attempts",
        f"No candidate has more than {MOST_ATTEMPTS} attempts.",
        (_TOO_MANY_ATTEMPTS,),
    ),
    Invariant(
        "I12",
        "within the budget",
        "No experiment asks for more candidates, or succeeds with more failures, than its budget allows.",
        (_budgets,),
    ),
)
