"""Invariants of controllers: one per experiment, by the database's clock, and requests that are answered."""

from __future__ import annotations

from sqlalchemy import and_, distinct, func, or_, select

from service.experiment.status import UNDER_WAY, ExperimentStatus
from service.store.clock import DatabaseClock
from service.store.invariants.invariant import Invariant
from service.store.models import AttemptRow, ExperimentRow

_E, _A = ExperimentRow, AttemptRow
_LONGEST_LEASE = 86_400.0  # seconds
_NAMED = _E.name.label("experiment")

_OUT_OF_NOTHING = (
    select(_NAMED, _E.status, _A.number, _A.split, _A.owner)
    .join(_E, _E.id == _A.experiment_id)
    .where(_A.ending.is_(None), _E.status.not_in(UNDER_WAY))
)
_SEVERAL_OWNERS = (
    select(_NAMED, func.count(distinct(_A.owner)).label("owners"))
    .join(_E, _E.id == _A.experiment_id)
    .where(_A.ending.is_(None))
    .group_by(_E.name)
    .having(func.count(distinct(_A.owner)) > 1)
)
_ODD_LEASES = select(_NAMED, _E.lease_owner, _E.lease_until).where(
    or_(
        _E.lease_owner.is_(None) != _E.lease_until.is_(None),
        _E.lease_until > DatabaseClock() + _LONGEST_LEASE,
        and_(_E.lease_owner.is_not(None), _E.epoch < 1),
    )
)
_TWICE_OUT = (
    select(_NAMED, _A.number, _A.split, func.count().label("open"))
    .join(_E, _E.id == _A.experiment_id)
    .where(_A.ending.is_(None))
    .group_by(_E.name, _A.assignment, _A.number, _A.split)
    .having(func.count() > 1)
)
_UNHEARD = select(_NAMED, _E.status, _E.lease_owner).where(
    _E.status.in_((ExperimentStatus.PAUSING, ExperimentStatus.CANCELLING)), _E.lease_owner.is_(None),
    _E.epoch == 0,
)  # fmt: skip

INVARIANTS = (
    Invariant(
        "I8",
        "one holder",
        "What is out of an experiment was handed out by one controller, and nothing is out of one at rest.",
        (_OUT_OF_NOTHING, _SEVERAL_OWNERS),
    ),
    Invariant(
        "I9",
        "leases by the database's clock",
        "A lease has an owner, an end within a day of the database's clock, and a token that has grown.",
        (_ODD_LEASES,),
        "a holder's own deadline: tests of frozen holders",
    ),
    Invariant(
        "I10",
        "one attempt at a time",
        "No assignment is out twice.",
        (_TWICE_OUT,),
    ),
    Invariant(
        "I20",
        "requests are answered",
        "No experiment that never ran waits for a controller to pause or cancel it.",
        (_UNHEARD,),
        "how soon: tests of giving way",
    ),
)
