"""Routes: experiments are checked, created, listed, described and cloned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, select

from search_spaces import Recipe, SearchSpace
from service.controller import requests as control
from service.controller.widening import widened, wider_name
from service.errors import ConflictError, InvalidSpecError
from service.experiment.names import ExperimentName
from service.experiment.spec import ExperimentSpec
from service.reports.experiments import experiment_detail, experiment_view, validation_view
from service.reports.views import ExperimentDetail, ExperimentPage, ExperimentView, ValidationView
from service.specification.baselines import PlannedBaseline
from service.specification.merge_patch import merged
from service.specification.roots import check_roots
from service.specification.spec_check import Checked, check_spec
from service.specification.transfer import Transferred, known_models
from service.specification.warm_start import best_recipes, winner_of
from service.store.filtering.columns import condition
from service.store.filtering.experiments import experiment_field
from service.store.filtering.grammar import parse
from service.store.filtering.ordering import parse_order, sorted_page, token_text
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.api.description.examples import SPEC_EXAMPLE
from service.web.api.entity_tags import IfMatch, check_unchanged, experiment_tag
from service.web.api.idempotency import Attempt, IdempotencyKey
from service.web.api.pages import cut_to, token_for
from service.web.api.problems import responses
from service.web.api.selection import PartialPage, SelectionQuery, only
from service.web.dependencies import Reading, Services, ServicesHere, Writing

router = APIRouter(prefix="/experiments", tags=["experiments"])

MOST_TAGS = 20
Tag = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f,]+$")]
RawSpec = Annotated[dict[str, Any], Body(openapi_examples={"two parents": {"value": SPEC_EXAMPLE}})]


@router.post(
    "/validate",
    operation_id="validateExperiment",
    summary="Check a spec without storing it",
    response_model=ValidationView,
    responses=responses(400, 413, 415, 422, 503),
)
def validate(raw: RawSpec, services: ServicesHere) -> ValidationView:
    """Runs every check that creating would; a spec with mistakes gives a report with all of them."""
    try:
        return validation_view(_check(raw, services))
    except InvalidSpecError as error:
        return validation_view(error)


@router.post(
    "",
    operation_id="createExperiment",
    summary="Create an experiment",
    status_code=201,
    response_model=ExperimentDetail,
    responses=responses(400, 409, 413, 415, 422, 503),
)
def create(raw: RawSpec, services: ServicesHere, idempotency_key: IdempotencyKey = None) -> Response:
    """Checks the spec against parents and tasks, and puts the experiment into the queue."""
    attempt = Attempt.of("createExperiment", idempotency_key, raw)
    if (answer := _earlier(services, attempt)) is not None:
        return answer
    checked = _check(raw, services)
    try:
        answer = _store(services, attempt, checked)
    except ConflictError:
        # Where the same request was sent twice at once, the other one took the name.
        if (answer := _earlier(services, attempt)) is not None:
            return answer
        raise
    services.runner.wake()
    return answer


def _check(raw: dict[str, Any], services: Services) -> Checked:
    def earlier(name: str) -> Sequence[PlannedBaseline] | None:
        with services.database.reading() as session:
            return best_recipes(Repository(session), name)

    def winner(name: str) -> Recipe:
        with services.database.reading() as session:
            return winner_of(Repository(session), name)

    def transfer(spec: ExperimentSpec, space: SearchSpace) -> Transferred:
        with services.database.reading() as session:
            return known_models(Repository(session), spec, space)

    check_roots(raw, services.settings.model_roots)  # before any parent is looked at
    return check_spec(raw, services.workforce, earlier, winner, transfer)


def _earlier(services: Services, attempt: Attempt) -> JSONResponse | None:
    with services.database.reading() as session:
        return attempt.earlier_answer(Repository(session))


def _store(services: Services, attempt: Attempt, checked: Checked) -> JSONResponse:
    with services.database.session() as session:
        repository = Repository(session)
        if (answer := attempt.earlier_answer(repository)) is not None:
            return answer
        spec = checked.spec.model_dump(mode="json")
        row = repository.create_experiment(checked.spec.name, spec, facts=checked.facts)
        if taken := checked.facts["transferred"]:
            repository.add_event(
                row.id, "experiment.transferred", {"models": sum(taken.values()), "of": taken}
            )
        body = experiment_detail(repository, row).model_dump(mode="json")
        return attempt.answer(repository, 201, body, location=f"/api/v1/experiments/{row.id}")


class ExperimentQuery(SelectionQuery):
    """Which experiments are wanted."""

    show_deleted: Annotated[
        bool, Field(description="Those as well that were deleted and can be brought back.")
    ] = False


@router.get(
    "",
    operation_id="listExperiments",
    summary="List experiments, newest first",
    response_model=ExperimentPage | PartialPage,
    responses=responses(422),
)
def list_experiments(
    page: Annotated[ExperimentQuery, Query()], repository: Reading
) -> ExperimentPage | Response:
    """Gives experiments with their progress.

    Filters and orders may name name, status, algorithm, notes, tags, parents, starred, priority, created_at,
    ended_at and search_seconds.
    """
    rows, token = _experiments(page, repository)
    found = ExperimentPage(items=[experiment_view(repository, row) for row in rows], next_page_token=token)
    return found if page.fields is None else only(found, found.items, ExperimentView, page.fields)


def _experiments(page: ExperimentQuery, repository: Repository) -> tuple[list[ExperimentRow], str | None]:
    """Returns the rows of a page, and the next page's token."""
    wanted: list[ColumnElement[bool]] = [] if page.show_deleted else [ExperimentRow.deleted_at.is_(None)]
    if page.filter is not None:
        wanted.append(condition(parse(page.filter), experiment_field))
    query = select(ExperimentRow).where(*wanted).limit(page.size + 1)
    if page.order_by is None:
        if (before := page.id()) is not None:
            query = query.where(ExperimentRow.id < before)
        rows = repository.session.scalars(query.order_by(ExperimentRow.id.desc())).all()
        return cut_to(rows, page.size, lambda row: row.id)
    order, place = parse_order(page.order_by, experiment_field), page.place()
    after = None if place is None else (place[0], page.key_of(place))
    query = query.add_columns(order.field.expression)
    found = repository.session.execute(
        sorted_page(query, order, ExperimentRow.id.expression, after=after)
    ).all()
    shown = found[: page.size]
    token = token_for(token_text(shown[-1][1], shown[-1][0].id)) if len(found) > page.size else None
    return [row for row, _ in shown], token


@router.get(
    "/{key}",
    operation_id="getExperiment",
    summary="Get an experiment by name or id",
    response_model=ExperimentDetail,
    responses=responses(404),
)
def get(key: str, repository: Reading, response: Response) -> ExperimentDetail:
    """Gives an experiment with the spec as it was submitted, defaults filled in."""
    row = repository.experiment(key)
    response.headers["ETag"] = experiment_tag(row, repository.last_events([row.id]).get(row.id, 0))
    return experiment_detail(repository, row)


class Description(BaseModel):
    """What people call an experiment and note about it; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"tags": ["paper"], "starred": True}]}
    )

    name: ExperimentName | None = None
    notes: Annotated[str | None, Field(max_length=10_000)] = None
    tags: Annotated[list[Tag] | None, Field(max_length=MOST_TAGS)] = None
    starred: bool | None = None


@router.patch(
    "/{key}",
    operation_id="describeExperiment",
    summary="Change an experiment's name, notes, tags or star",
    response_model=ExperimentView,
    responses=responses(404, 409, 412, 422),
)
def describe(
    key: str, description: Description, repository: Writing, if_match: IfMatch = None
) -> ExperimentView:
    """Changes what people call it and note about it; its search goes on as it was."""
    row = repository.experiment(key)
    check_unchanged(row, if_match)
    control.describe(repository, row, description.model_dump(exclude_none=True))
    return experiment_view(repository, row)


class Clone(BaseModel):
    """A new experiment after an old one.

    Attributes:
        name: The new one's.
        changes: Of the spec, as a JSON merge patch (RFC 7396): null takes a key away.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "second", "changes": {"budget": {"candidates": 500}}}]},
    )

    name: ExperimentName
    changes: dict[str, Any] = {}


@router.post(
    "/{key}/clone",
    operation_id="cloneExperiment",
    summary="Create an experiment after another one",
    status_code=201,
    response_model=ExperimentDetail,
    responses=responses(404, 409, 422, 503),
)
def clone(
    key: str, wanted: Clone, services: ServicesHere, idempotency_key: IdempotencyKey = None
) -> Response:
    """Checks the old spec with its changes anew, and puts the new experiment into the queue."""
    with services.database.reading() as session:
        spec = Repository(session).experiment(key).spec
    return create(merged(spec, {**wanted.changes, "name": wanted.name}), services, idempotency_key)


class Widening(BaseModel):
    """A search that goes on in wider bounds.

    Attributes:
        name: The new experiment's; by default the old one's with `-wider`.
        budget: New totals of the budget's members; what is left out is as it was, null lifts a limit.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"budget": {"candidates": 100}}]}
    )

    name: ExperimentName | None = None
    budget: dict[str, Any] = {}


@router.post(
    "/{key}/widen",
    operation_id="widenExperiment",
    summary="Search on in wider bounds",
    status_code=201,
    response_model=ExperimentDetail,
    responses=responses(404, 409, 422, 503),
)
def widen(
    key: str,
    services: ServicesHere,
    wanted: Widening | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Creates an experiment in bounds that are wider than the winner's; it starts from what is known."""
    said = wanted or Widening()
    with services.database.reading() as session:
        repository = Repository(session)
        row = repository.experiment(key)
        changes = widened(repository, row)
        spec, name = row.spec, said.name or wider_name(row)
    changed = merged(spec, {**changes, "budget": said.budget, "name": name})
    return create(changed, services, idempotency_key)
