"""What people may ask of an experiment: pause, resume, cancel.  They wish; its controller fulfils.

Each returns whether anything changed; asking for what is already so changes nothing.
"""

from __future__ import annotations

from service.lifecycle import ExperimentStatus
from service.store.models import ExperimentRow
from service.store.repository import Repository

_S = ExperimentStatus
BY_REQUEST = "by request"
AWAITS_CONTROLLER = frozenset({_S.PAUSING, _S.QUEUED, _S.RUNNING, _S.CANCELLING})


def pause(repository: Repository, experiment: ExperimentRow) -> bool:
    """Has an experiment stop proposing; candidates on a worker finish.

    Raises:
        IllegalTransitionError: It has ended, or is being examined.
    """
    if experiment.status in (_S.PAUSING, _S.PAUSED):
        return False
    wanted = _S.PAUSED if experiment.status is _S.QUEUED else _S.PAUSING
    repository.move(experiment, wanted, reason=BY_REQUEST)
    return True


def resume(repository: Repository, experiment: ExperimentRow) -> bool:
    """Has a paused or failed experiment go on where it stopped.

    Raises:
        IllegalTransitionError: It was cancelled, or has succeeded.
    """
    if experiment.status in (_S.QUEUED, _S.RUNNING):
        return False
    wanted = _S.RUNNING if experiment.status is _S.PAUSING else _S.QUEUED
    repository.move(experiment, wanted, reason=BY_REQUEST)
    return True


def cancel(repository: Repository, experiment: ExperimentRow) -> bool:
    """Ends an experiment for good; what was scored stays.

    Raises:
        IllegalTransitionError: It has ended already.
    """
    if experiment.status in (_S.CANCELLING, _S.CANCELLED):
        return False
    at_once = experiment.status in (_S.QUEUED, _S.PAUSED)
    repository.move(experiment, _S.CANCELLED if at_once else _S.CANCELLING, reason=BY_REQUEST)
    return True
