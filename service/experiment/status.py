"""Which status of an experiment may follow which, and what may be asked of it in each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from service.errors import IllegalTransitionError


class ExperimentStatus(StrEnum):
    """Where an experiment stands.

    Pausing, stopping and cancelling are requests: the controller that runs the experiment carries them out.
    """

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXAMINING = "examining"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def words(self) -> str:
        """What people are told: how the experiment is."""
        return _WORDS[self]

    @property
    def is_under_way(self) -> bool:
        """Whether a controller works on it, or will without being asked again."""
        return self in UNDER_WAY


_S = ExperimentStatus
_MAY_BECOME: Mapping[ExperimentStatus, frozenset[ExperimentStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.PAUSED, _S.CANCELLED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.PAUSING, _S.STOPPING, _S.CANCELLING, _S.EXAMINING, _S.SUCCEEDED, _S.FAILED}),
    _S.PAUSING: frozenset({_S.PAUSED, _S.RUNNING, _S.STOPPING, _S.CANCELLING, _S.EXAMINING, _S.FAILED}),
    _S.PAUSED: frozenset({_S.QUEUED, _S.STOPPING, _S.CANCELLED}),
    _S.STOPPING: frozenset({_S.CANCELLING, _S.EXAMINING, _S.SUCCEEDED, _S.FAILED}),
    _S.EXAMINING: frozenset({_S.SUCCEEDED, _S.CANCELLING, _S.FAILED}),
    _S.CANCELLING: frozenset({_S.CANCELLED, _S.FAILED}),
    _S.SUCCEEDED: frozenset({_S.QUEUED}),  # when it is extended
    _S.FAILED: frozenset({_S.QUEUED}),  # after the cause was mended, `resume` goes on where it stopped
    _S.CANCELLED: frozenset(),
}

_WORDS: Mapping[ExperimentStatus, str] = {
    _S.QUEUED: "waiting to start",
    _S.RUNNING: "searching",
    _S.PAUSING: "being paused",
    _S.PAUSED: "paused",
    _S.STOPPING: "being stopped",
    _S.EXAMINING: "examining its winner",
    _S.CANCELLING: "being cancelled",
    _S.SUCCEEDED: "finished",
    _S.FAILED: "failed",
    _S.CANCELLED: "cancelled",
}
_WANTED: Mapping[ExperimentStatus, str] = {  # what was asked of an experiment that cannot become this
    _S.QUEUED: "go on",
    _S.RUNNING: "go on",
    _S.PAUSING: "be paused",
    _S.PAUSED: "be paused",
    _S.STOPPING: "be stopped",
    _S.CANCELLING: "be cancelled",
    _S.CANCELLED: "be cancelled",
}

UNDER_WAY = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSING, _S.STOPPING, _S.EXAMINING, _S.CANCELLING})
ENDED = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED})

Action = Literal["pause", "resume", "stop", "extend", "cancel"]
_ALLOWED: Mapping[Action, frozenset[ExperimentStatus]] = {
    "pause": frozenset({_S.QUEUED, _S.RUNNING}),
    "resume": frozenset({_S.PAUSED, _S.PAUSING, _S.FAILED}),
    "stop": frozenset({_S.RUNNING, _S.PAUSING, _S.PAUSED}),
    "extend": frozenset({_S.SUCCEEDED, _S.FAILED, _S.PAUSED}),
    "cancel": frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSING, _S.PAUSED, _S.STOPPING, _S.EXAMINING}),
}


def allows(status: ExperimentStatus, action: Action) -> bool:
    """Says whether an experiment of this status may be paused, resumed, stopped, extended or cancelled."""
    return status in _ALLOWED[action]


def actions_of(status: ExperimentStatus) -> list[Action]:
    """Returns everything that may be asked of an experiment of this status."""
    return [action for action, statuses in _ALLOWED.items() if status in statuses]


def check_move(what: str, current: ExperimentStatus, wanted: ExperimentStatus) -> None:
    """Refuses a status that may not follow the present one.

    Raises:
        IllegalTransitionError: It may not.
    """
    if wanted not in _MAY_BECOME[current]:
        raise illegal(what, current, wanted)


def illegal(what: str, current: ExperimentStatus, wanted: ExperimentStatus) -> IllegalTransitionError:
    """Returns the refusal of a status that may not follow the present one, in users' words."""
    return IllegalTransitionError(what, current.words, _WANTED.get(wanted, f"become {wanted}"))
