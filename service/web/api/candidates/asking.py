"""Routes: a prompt is put to a candidate and its parents, by a worker beside the searches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from search_spaces import Recipe
from service.errors import ConflictError, TooBusyError
from service.experiment.spec import ExperimentSpec
from service.reports.listings.answer_views import AnswersView, answers_view
from service.specification.planning import ExperimentFacts
from service.store.repository import Repository
from service.web.api.candidates.routes import Number
from service.web.api.problems import responses
from service.web.dependencies import Services, ServicesHere
from workers.protocol.prompt_orders import PromptAnswers, PromptedModel, PromptOrder

router = APIRouter(prefix="/experiments/{key}", tags=["candidates"])

MOST_TOKENS = 1024
MOST_SECONDS = 600
_EXAMPLE: JsonDict = {"prompt": "Kim has 3 apples and eats one. How many are left?", "max_tokens": 64}


class WantedAnswers(BaseModel):
    """A prompt, and how it is to be answered."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [_EXAMPLE]})

    prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    system: Annotated[str | None, Field(min_length=1, max_length=20_000, description="A system message.")] = (
        None
    )
    chat: Annotated[
        Literal["auto", "on", "off"],
        Field(description="Put it as a message of a user's; `auto`: where a model has a chat template."),
    ] = "auto"
    parents: Annotated[bool, Field(strict=True, description="Ask the parents and the base as well.")] = True
    max_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS, description="Of each answer.")] = 128
    temperature: Annotated[float, Field(ge=0, le=5, description="0 takes the likeliest tokens.")] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Of what is drawn.")] = 0
    seconds: Annotated[
        float, Field(gt=0, le=MOST_SECONDS, description="That all answers together may take.")
    ] = 300.0


@router.post(
    "/candidates/{number}/answers",
    operation_id="tryCandidate",
    summary="Put a prompt to a candidate and its parents",
    response_model=AnswersView,
    responses=responses(404, 409, 422, 429, 503),
)
def answer(key: str, number: Number, wanted: WantedAnswers, services: ServicesHere) -> AnswersView:
    """Has a worker merge the candidate beside the searches; prompts are shown as the models saw them.

    Nothing is stored.  A few prompts may wait at once; further ones are refused until one is answered.
    """
    with services.database.reading() as session:
        order = _order(Repository(session), key, number, wanted)
    with a_turn(services):
        found = services.workforce.run_job(order)
    assert isinstance(found, PromptAnswers)  # noqa: S101 - what such an order is answered with
    return answers_view(number, found)


def _order(repository: Repository, key: str, number: int, wanted: WantedAnswers) -> PromptOrder:
    experiment = repository.experiment(key)
    row = repository.candidate(experiment.id, number)
    if row.recipe is None:
        raise ConflictError(
            f"candidate {number} is {row.status} and has no recipe: {row.infeasible_reason}",
            "ask one that decodes to a recipe",
        )
    spec = ExperimentSpec.model_validate({"chat": {"apply": "off"}} | experiment.spec)
    planned = ExperimentFacts.model_validate(experiment.facts).baselines
    own = PromptedModel(row.label or f"candidate {number}", Recipe.model_validate(row.recipe))
    bare = [PromptedModel(each.label, each.recipe) for each in planned if each.kind.is_bare]
    asked = (own, *(model for model in bare if wanted.parents and model.recipe != own.recipe))
    settings = wanted.model_dump(exclude={"parents"})
    return PromptOrder(asked, dtype=spec.dtype, **settings)


@contextmanager
def a_turn(services: Services) -> Iterator[None]:
    """Takes one of the places in the queue.

    Raises:
        TooBusyError: All are taken.
    """
    if not services.prompts.acquire(blocking=False):
        raise TooBusyError("as many prompts wait as may at once", "try again in a moment")
    try:
        yield
    finally:
        services.prompts.release()
