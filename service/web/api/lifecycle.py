"""Routes: experiments are paused, resumed, stopped, cancelled, extended, deleted and brought back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from service.controller import deletion
from service.controller import requests as control
from service.errors import NotFoundError
from service.reports.experiments import experiment_view
from service.reports.views import ExperimentView
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.api.idempotency import Attempt, IdempotencyKey
from service.web.api.problems import responses
from service.web.dependencies import ServicesHere, Writing

router = APIRouter(prefix="/experiments", tags=["experiments"])


@router.post(
    "/{key}/pause",
    operation_id="pauseExperiment",
    summary="Pause an experiment",
    status_code=202,
    response_model=ExperimentView,
    responses={200: {"model": ExperimentView, "description": "It is paused."}, **responses(404, 409)},
)
def pause(key: str, repository: Writing, idempotency_key: IdempotencyKey = None) -> Response:
    """Has an experiment stop proposing; candidates that are on a worker finish."""
    return _ask(control.pause, repository, key, Attempt.of(f"pause:{key}", idempotency_key, None))


@router.post(
    "/{key}/resume",
    operation_id="resumeExperiment",
    summary="Resume an experiment",
    status_code=202,
    response_model=ExperimentView,
    responses={200: {"model": ExperimentView, "description": "It goes on already."}, **responses(404, 409)},
)
def resume(
    key: str, repository: Writing, services: ServicesHere, idempotency_key: IdempotencyKey = None
) -> Response:
    """Has a paused or failed experiment go on where it stopped."""
    answer = _ask(control.resume, repository, key, Attempt.of(f"resume:{key}", idempotency_key, None))
    services.runner.wake()
    return answer


@router.post(
    "/{key}/cancel",
    operation_id="cancelExperiment",
    summary="Cancel an experiment",
    status_code=202,
    response_model=ExperimentView,
    responses={200: {"model": ExperimentView, "description": "It is cancelled."}, **responses(404, 409)},
)
def cancel(key: str, repository: Writing, idempotency_key: IdempotencyKey = None) -> Response:
    """Ends an experiment for good; what was scored stays."""
    return _ask(control.cancel, repository, key, Attempt.of(f"cancel:{key}", idempotency_key, None))


@router.post(
    "/{key}/stop",
    operation_id="stopExperiment",
    summary="Have a search end early, and examine its winner",
    status_code=202,
    response_model=ExperimentView,
    responses={200: {"model": ExperimentView, "description": "It ends already."}, **responses(404, 409, 422)},
)
def stop(
    key: str, repository: Writing, services: ServicesHere, idempotency_key: IdempotencyKey = None
) -> Response:
    """Has a search ask for nothing more: what it has asked for is scored, then its winner is examined."""
    answer = _ask(control.stop, repository, key, Attempt.of(f"stop:{key}", idempotency_key, None))
    services.runner.wake()
    return answer


class DeletionQuery(BaseModel):
    """How an experiment is to be deleted."""

    model_config = ConfigDict(extra="forbid")

    force: Annotated[bool, Field(description="Cancel it first where it is under way.")] = False
    for_good: Annotated[bool, Field(description="Remove it at once: nothing brings it back.")] = False


@router.delete(
    "/{key}",
    operation_id="deleteExperiment",
    summary="Delete an experiment",
    response_model=ExperimentView,
    responses=responses(404, 409, 422),
)
def delete(key: str, repository: Writing, wanted: Annotated[DeletionQuery, Query()]) -> ExperimentView:
    """Deletes it with its candidates, scores and events; for 30 days it can be brought back.

    Checkpoints that were exported stay.
    """
    row = repository.any_experiment(key) if wanted.for_good else repository.experiment(key)
    if row is None:
        raise NotFoundError("experiment", key)
    if wanted.for_good:
        view = experiment_view(repository, row)
        deletion.remove(repository, row)
        return view
    deletion.delete(repository, row, force=wanted.force)
    return experiment_view(repository, row)


@router.post(
    "/{key}/undelete",
    operation_id="undeleteExperiment",
    summary="Bring a deleted experiment back",
    response_model=ExperimentView,
    responses=responses(404, 409, 422),
)
def undelete(key: str, repository: Writing) -> ExperimentView:
    """Brings it back by its name or id, as it was; after 30 days it is removed for good."""
    return experiment_view(repository, deletion.undelete(repository, key))


class Extension(BaseModel):
    """New totals of the budget; what is left out stays, null lifts a limit."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"candidates": 500}]}
    )

    candidates: int | None = None
    seconds: float | None = None
    gpu_hours: float | None = None
    failures: int | None = None
    target: float | None = None
    stagnation: int | None = None
    least_gain: float | None = None


@router.post(
    "/{key}/extend",
    operation_id="extendExperiment",
    summary="Extend an experiment that ended",
    status_code=202,
    response_model=ExperimentView,
    responses={200: {"model": ExperimentView, "description": "Nothing changes."}, **responses(404, 409, 422)},
)
def extend(
    key: str,
    extension: Extension,
    repository: Writing,
    services: ServicesHere,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Has an experiment go on with a larger budget, as if it had been given at first."""
    changes = extension.model_dump(exclude_unset=True)
    attempt = Attempt.of(f"extend:{key}", idempotency_key, changes)
    answer = _ask(lambda rows, row: control.extend(rows, row, changes), repository, key, attempt)
    services.runner.wake()
    return answer


def _ask(
    verb: Callable[[Repository, ExperimentRow], bool], repository: Repository, key: str, attempt: Attempt
) -> Response:
    """202 where a controller has yet to act, 200 where it is done or was so already."""
    if (answer := attempt.earlier_answer(repository)) is not None:
        return answer
    row = repository.experiment(key)
    changed = verb(repository, row)
    status = 202 if changed and row.status in control.AWAITS_CONTROLLER else 200
    return attempt.answer(repository, status, experiment_view(repository, row).model_dump(mode="json"))
