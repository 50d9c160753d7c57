"""Routes: what a candidate answers to single items, with the prompts as it saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from evaluators import Split
from search_spaces import Recipe
from service.errors import ConflictError
from service.experiment.spec import ExperimentSpec
from service.reports.listings.answer_views import ChoiceView, SamplesView, SampleView
from service.store.models import CandidateRow, SampleRow
from service.store.repository import Repository
from service.web.api.candidates.asking import MOST_SECONDS, a_turn
from service.web.api.candidates.routes import Number
from service.web.api.problems import responses
from service.web.dependencies import Reading, ServicesHere
from workers.protocol.prompt_orders import SampleAnswers, SampleOrder

router = APIRouter(prefix="/experiments/{key}", tags=["candidates"])

MOST_ITEMS = 20
MOST_KEPT = 200  # of a candidate, a split and a benchmark


class WantedSamples(BaseModel):
    """Which items a candidate is to answer."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"split": "search", "count": 4}]}
    )

    split: Annotated[
        Split, Field(description="`test` only where the candidate was examined on it: it is sealed.")
    ] = "search"
    count: Annotated[int, Field(ge=1, le=MOST_ITEMS, description="Of each objective's first items.")] = 4
    items: Annotated[
        list[Annotated[int, Field(ge=0, lt=2**31)]],
        Field(
            max_length=MOST_ITEMS,
            description="These alone, by their places in the split, in the place of the first.",
        ),
    ] = []
    objective: Annotated[str | None, Field(max_length=200, description="Whose items; None asks all.")] = None
    seconds: Annotated[
        float, Field(gt=0, le=MOST_SECONDS, description="That all answers together may take.")
    ] = 300.0


@router.get(
    "/candidates/{number}/samples",
    operation_id="listSamples",
    summary="List a candidate's stored sample answers",
    response_model=SamplesView,
    responses=responses(404, 422),
)
def list_samples(key: str, number: Number, repository: Reading) -> SamplesView:
    """Gives answers that were asked for, with prompts as the model saw them; none unless someone asked."""
    return _view(repository, repository.candidate(repository.experiment(key).id, number))


@router.post(
    "/candidates/{number}/samples",
    operation_id="askSamples",
    summary="Have a candidate answer single items, and store it",
    response_model=SamplesView,
    responses=responses(404, 409, 422, 429, 503),
)
def ask_samples(key: str, number: Number, wanted: WantedSamples, services: ServicesHere) -> SamplesView:
    """Has a worker merge the candidate beside the searches and put items of lm-eval's tasks to it."""
    with services.database.reading() as session:
        order = _order(Repository(session), key, number, wanted)
    with a_turn(services):
        found = services.workforce.run_job(order)
    assert isinstance(found, SampleAnswers)  # noqa: S101 - what such an order is answered with
    with services.database.session() as session:
        repository = Repository(session)
        row = repository.candidate(repository.experiment(key).id, number)
        for benchmark, answers in found.entries:
            _keep(repository, row, wanted.split, benchmark, [asdict(answer) for answer in answers])
        session.flush()
        return _view(repository, row)


def _keep(
    repository: Repository, row: CandidateRow, split: Split, benchmark: str, answers: list[dict[str, Any]]
) -> None:
    """Stores answers beside those to other items, which were asked for before."""
    known = repository.session.get(SampleRow, (row.id, split, benchmark))
    before = {answer["item"]: answer for answer in known.answers} if known is not None else {}
    kept = before | {answer["item"]: answer for answer in answers}
    shown = [kept[item] for item in sorted(kept)][-MOST_KEPT:]
    repository.session.merge(SampleRow(candidate_id=row.id, split=split, benchmark=benchmark, answers=shown))


def _order(repository: Repository, key: str, number: int, wanted: WantedSamples) -> SampleOrder:
    experiment = repository.experiment(key)
    row = repository.candidate(experiment.id, number)
    if row.recipe is None:
        raise ConflictError(f"candidate {number} is {row.status} and has no recipe", "ask another one")
    if wanted.split == "test" and not any(each.split == "test" for each in row.evaluations):
        detail = f"candidate {number} was not examined on the test split, which stays sealed"
        raise ConflictError(detail, "ask items of the search or the selection split")
    spec = ExperimentSpec.model_validate({"chat": {"apply": "off"}} | experiment.spec)
    tasks = tuple(
        one for one in spec.benchmarks if one.kind == "lm_eval" and wanted.objective in (None, one.name)
    )
    if not tasks:
        raise ConflictError("no objective is one of lm-eval's tasks", "put a prompt to it (`evomerge try`)")
    recipe = Recipe.model_validate(row.recipe)
    asked = wanted.split, wanted.count, wanted.seconds, spec.dtype, tuple(dict.fromkeys(wanted.items))
    return SampleOrder(recipe, spec.all_parents, tasks, *asked)


def _view(repository: Repository, row: CandidateRow) -> SamplesView:
    query = select(SampleRow).where(SampleRow.candidate_id == row.id)
    items = []
    for found in repository.session.scalars(query.order_by(SampleRow.split, SampleRow.benchmark)):
        split: Split = found.split  # type: ignore[assignment]  # written as one
        values = _values(repository, row, split).get(found.benchmark, {})
        for answer in found.answers:
            choices = [ChoiceView(text=text, log_likelihood=value) for text, value in answer["choices"]]
            own = {name: answer[name] for name in ("item", "prompt", "text", "target")}
            value = values.get(answer["item"])
            items.append(
                SampleView(split=split, benchmark=found.benchmark, choices=choices, value=value, **own)
            )
    return SamplesView(candidate=row.number, items=items)


def _values(repository: Repository, row: CandidateRow, split: Split) -> dict[str, Mapping[int, float]]:
    """Returns the metric on each item that the candidate was scored on, by benchmark and item."""
    return {
        score.benchmark: dict(
            zip(score.item_indices or range(len(score.per_item)), score.per_item, strict=True)
        )
        for score in repository.answers(row, split)
    }
