"""What people may ask of an experiment: pause, resume, stop, cancel, extend.  Its controller does it.

Each returns whether anything changed; asking for what is already so changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from service.errors import ConflictError, InvalidSpecError, Mistake
from service.experiment.spec import Budget
from service.experiment.status import ExperimentStatus, allows, illegal
from service.specification.reading import hint_for, pointer_to
from service.store.models import ExperimentRow
from service.store.repository import Repository

_S = ExperimentStatus
BY_REQUEST = "by request"
AWAITS_CONTROLLER = frozenset({_S.PAUSING, _S.STOPPING, _S.QUEUED, _S.RUNNING, _S.CANCELLING})


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
    if not allows(experiment.status, "resume"):
        raise illegal(f"experiment {experiment.name}", experiment.status, _S.QUEUED)
    wanted = _S.RUNNING if experiment.status is _S.PAUSING else _S.QUEUED
    repository.move(experiment, wanted, reason=BY_REQUEST)
    return True


def stop(repository: Repository, experiment: ExperimentRow) -> bool:
    """Has a search ask for nothing more: what it has asked for is scored, then the winner is examined.

    Raises:
        IllegalTransitionError: It has not begun, is over, or is being cancelled.
    """
    if experiment.status in (_S.STOPPING, _S.EXAMINING, _S.SUCCEEDED):
        return False
    repository.move(experiment, _S.STOPPING, reason=BY_REQUEST)
    return True


def describe(repository: Repository, experiment: ExperimentRow, changes: Mapping[str, Any]) -> bool:
    """Changes what people call an experiment and note about it; nothing that its search depends on.

    Args:
        repository: Whose transaction it happens in.
        experiment: Which one.
        changes: Of `name`, `notes`, `tags`, `starred`, those that are to be changed.

    Raises:
        NameTakenError: Another experiment has the name.
    """
    repository.lock(experiment)
    told = {name: changes[name] for name in ("name", "notes") if name in changes}
    before = (experiment.spec, experiment.tags, experiment.starred)
    experiment.spec = {**experiment.spec, **told}
    experiment.tags = list(dict.fromkeys(changes.get("tags", experiment.tags or [])))
    experiment.starred = changes.get("starred", experiment.starred)
    if "name" in changes:
        repository.rename(experiment, changes["name"])
    return before != (experiment.spec, experiment.tags, experiment.starred)


def extend(repository: Repository, experiment: ExperimentRow, changes: Mapping[str, object]) -> bool:
    """Has an experiment that ended or is paused go on with a larger budget, as if given at first.

    The winner is examined anew, and the test split read a second time: that is noted.

    Args:
        repository: Whose transaction it happens in.
        experiment: Which one.
        changes: New totals by the budget's members; None lifts a limit.

    Raises:
        ConflictError: It is under way, or was cancelled.
        InvalidSpecError: The budget is none, or smaller than what is done already.
    """
    repository.lock(experiment)
    if not allows(experiment.status, "extend"):
        remedy = "pause it first, or wait for its end" if experiment.status is not _S.CANCELLED else ""
        raise ConflictError(f"experiment {experiment.name} is {experiment.status.words}", remedy)
    before = experiment.spec["budget"]
    after = _budget(before, changes)
    if after == before:
        return False
    experiment.spec = {**experiment.spec, "budget": after}
    first = experiment.facts.get("first_budget") or before["candidates"]
    kept = {name: fact for name, fact in experiment.facts.items() if name != "examination"}
    experiment.facts = {**kept, "first_budget": first}
    repository.forget_examination_steps(experiment.id)
    payload = {"before": before, "after": after, "test_was_read": experiment.test_opened_at is not None}
    experiment.winner, experiment.test_opened_at = None, None
    repository.make_room(experiment, _total(experiment, after))
    repository.add_event(experiment.id, "experiment.extended", payload)
    repository.move(experiment, _S.QUEUED, reason="extended")
    return True


def _total(experiment: ExperimentRow, budget: Mapping[str, Any]) -> int:
    return len(experiment.facts.get("baselines", ())) + int(budget["candidates"])


def _budget(before: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, Any]:
    """Returns the budget with the changes, as it is stored.

    Raises:
        InvalidSpecError: The result is no budget, or asks for fewer candidates.
    """
    content = {**before, **changes}
    try:
        budget = Budget.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        found = [
            Mistake(
                pointer_to(*each["loc"]),
                each["type"],
                f"{json.dumps(each['input'])} does not fit: {each['msg'][:1].lower()}{each['msg'][1:]}",
                hint_for(each) or "leave it out: only what is given changes",
            )
            for each in error.errors(include_url=False)
        ]
        raise InvalidSpecError(found) from error
    least = Budget.model_validate(before).candidates
    if budget.candidates < least:
        detail = f"{budget.candidates} candidates are fewer than the {least} of before"
        raise InvalidSpecError([Mistake("/candidates", "too_small", detail, f"use {least} or more")])
    return budget.model_dump(mode="json")


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
