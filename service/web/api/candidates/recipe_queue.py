"""Routes: recipes are put into a search's queue, candidates are tried again and asked anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from service.controller import enqueueing
from service.reports.recipe_queue import enqueued_view
from service.reports.search_views import EnqueuedView, QueuePage
from service.store.models import CandidateRow, EnqueuedRow, ExperimentRow
from service.store.recipe_queue import queue_of
from service.store.repository import Repository
from service.web.api.candidates.routes import Number
from service.web.api.idempotency import Attempt, IdempotencyKey
from service.web.api.pages import PageWanted, cut_to
from service.web.api.problems import responses
from service.web.dependencies import Reading, Writing

router = APIRouter(prefix="/experiments/{key}", tags=["candidates"])

_EXAMPLE: JsonDict = {
    "recipe": "merge_method: linear\nmodels:\n- model: /models/math\n  parameters: {weight: 0.6}\n"
    "- model: /models/japanese\n  parameters: {weight: 0.4}\n",
    "label": "my guess",
}


class WantedRecipe(BaseModel):
    """A recipe that a search is to try."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [_EXAMPLE]})

    recipe: Annotated[
        str,
        Field(
            min_length=1, max_length=100_000, description="mergekit's YAML, over the experiment's parents."
        ),
    ]
    label: Annotated[
        str | None, Field(min_length=1, max_length=200, description="What people are to call it.")
    ] = None


@router.post(
    "/candidates",
    operation_id="enqueueRecipe",
    summary="Have a search try a recipe of your own",
    status_code=201,
    response_model=EnqueuedView,
    responses=responses(404, 409, 422),
)
def enqueue(
    key: str, wanted: WantedRecipe, repository: Writing, idempotency_key: IdempotencyKey = None
) -> Response:
    """Puts a recipe into the queue: it takes the place of the next candidate that the search asks for.

    Like every candidate it counts towards the budget, is scored, and told to the optimizer.
    """
    attempt = Attempt.of(f"enqueueRecipe:{key}", idempotency_key, wanted.model_dump())
    if (answer := attempt.earlier_answer(repository)) is not None:
        return answer
    row = enqueueing.enqueue_recipe(repository, repository.experiment(key), wanted.recipe, wanted.label)
    return attempt.answer(repository, 201, enqueued_view(row).model_dump(mode="json"), location=_queue(row))


@router.post(
    "/candidates/{number}/retry",
    operation_id="retryCandidate",
    summary="Have a search try a failed candidate again",
    status_code=202,
    response_model=EnqueuedView,
    responses=responses(404, 409, 422),
)
def retry(key: str, number: Number, repository: Writing, idempotency_key: IdempotencyKey = None) -> Response:
    """Puts the failed candidate's recipe into the queue: it becomes another one, and the failure stays."""
    return _repeat(enqueueing.retry, repository, (key, number), idempotency_key)


@router.post(
    "/candidates/{number}/reevaluate",
    operation_id="reevaluateCandidate",
    summary="Have a candidate's recipe asked every item anew",
    status_code=202,
    response_model=EnqueuedView,
    responses=responses(404, 409, 422),
)
def reevaluate(
    key: str, number: Number, repository: Writing, idempotency_key: IdempotencyKey = None
) -> Response:
    """Puts the candidate's recipe into the queue; no earlier answer is used, and the old scores stay."""
    return _repeat(enqueueing.reevaluate, repository, (key, number), idempotency_key)


@router.get(
    "/queue",
    operation_id="listQueue",
    summary="List the recipes in a search's queue",
    response_model=QueuePage,
    responses=responses(404, 422),
)
def list_queue(key: str, page: PageWanted, repository: Reading) -> QueuePage:
    """Gives what people put into the queue, and the numbers of the candidates that it became."""
    experiment = repository.experiment(key)
    found = queue_of(repository.session, experiment.id, after=page.id(), limit=page.size + 1)
    shown, token = cut_to(found, page.size, lambda pair: pair[0].id)
    return QueuePage(items=[enqueued_view(row, number) for row, number in shown], next_page_token=token)


def _repeat(
    verb: Callable[[Repository, ExperimentRow, CandidateRow], EnqueuedRow],
    repository: Repository,
    which: tuple[str, int],
    idempotency_key: str | None,
) -> Response:
    key, number = which
    attempt = Attempt.of(f"{verb.__name__}:{key}:{number}", idempotency_key, None)
    if (answer := attempt.earlier_answer(repository)) is not None:
        return answer
    experiment = repository.experiment(key)
    row = verb(repository, experiment, repository.candidate(experiment.id, number))
    return attempt.answer(repository, 202, enqueued_view(row).model_dump(mode="json"), location=_queue(row))


def _queue(row: EnqueuedRow) -> str:
    return f"/api/v1/experiments/{row.experiment_id}/queue"
