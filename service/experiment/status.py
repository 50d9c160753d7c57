"""Which status of an experiment may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from service.errors import IllegalTransitionError


class ExperimentStatus(StrEnum):
    """Where an experiment stands.

    Pausing and cancelling are wishes: the controller that drives the experiment fulfils them.
    """

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    EXAMINING = "examining"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = ExperimentStatus
_MAY_BECOME: Mapping[ExperimentStatus, frozenset[ExperimentStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.PAUSED, _S.CANCELLED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.PAUSING, _S.CANCELLING, _S.EXAMINING, _S.SUCCEEDED, _S.FAILED}),
    _S.PAUSING: frozenset({_S.PAUSED, _S.RUNNING, _S.CANCELLING, _S.EXAMINING, _S.FAILED}),
    _S.PAUSED: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.EXAMINING: frozenset({_S.SUCCEEDED, _S.CANCELLING, _S.FAILED}),
    _S.CANCELLING: frozenset({_S.CANCELLED, _S.FAILED}),
    _S.SUCCEEDED: frozenset({_S.QUEUED}),  # when it is extended
    _S.FAILED: frozenset({_S.QUEUED}),  # after the cause was mended, `resume` goes on where it stopped
    _S.CANCELLED: frozenset(),
}

UNDER_WAY = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSING, _S.EXAMINING, _S.CANCELLING})
ENDED = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED})


def check_move(what: str, current: ExperimentStatus, wanted: ExperimentStatus) -> None:
    """Refuses a status that may not follow the present one.

    Raises:
        IllegalTransitionError: It may not.
    """
    if wanted not in _MAY_BECOME[current]:
        raise IllegalTransitionError(what, current, wanted)


def may_become(current: ExperimentStatus) -> frozenset[ExperimentStatus]:
    """Returns every status that may follow this one."""
    return _MAY_BECOME[current]
