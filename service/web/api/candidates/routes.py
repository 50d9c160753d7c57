"""Routes: candidates, their recipes, and the front."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from evaluators import SPLITS, Split
from service.errors import ConflictError
from service.reports.archive import archive_view
from service.reports.experiments import (
    candidate_detail,
    recipe_text,
)
from service.reports.front import MOST_DOMINATED, front_view
from service.reports.lineage import lineage_view
from service.reports.search_views import ArchiveView, LineageView
from service.reports.views import CandidateDetail, CandidatePage, CandidateView, FrontView
from service.store.repository import Repository
from service.web.api.candidates.listing import (
    MEDIA_TYPES,
    CandidateQuery,
    chosen,
    fields_of,
    page_of_candidates,
)
from service.web.api.candidates.table import CandidateTable
from service.web.api.problems import responses
from service.web.api.selection import PartialPage, only
from service.web.dependencies import Reading, ServicesHere

router = APIRouter(prefix="/experiments/{key}", tags=["candidates"])

Number = Annotated[int, Path(ge=0, lt=2**31, description="The candidate's number; baselines come first.")]


@router.get(
    "/candidates",
    operation_id="listCandidates",
    summary="List candidates, or all of them as one table",
    response_model=CandidatePage | PartialPage,
    responses={
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
            },
            "description": "A page of candidates; all but JSON have all rows.",
        },
        **responses(404, 422, 501),
    },
)
def list_candidates(
    key: str,
    page: Annotated[CandidateQuery, Query()],
    services: ServicesHere,
    accept: Annotated[str, Header(description="Its type may ask for all rows in one table.")] = "*/*",
) -> CandidatePage | Response:
    """Gives a page of candidates with their scores, or all of them by `format` or the Accept header.

    Filters and orders may name number, generation, status, kind, label, operator, digest, worker, attempts,
    violation, told, seconds, created_at, settled_at, failure.code, recipe.method, ancestors, on_front, and
    an objective's score as objectives.NAME, selection.NAME or test.NAME.
    """
    with services.database.reading() as session:
        repository = Repository(session)
        experiment = repository.experiment(key)
        if (wanted := page.table(accept)) is None:
            found = page_of_candidates(repository, experiment, page)
            return found if page.fields is None else only(found, found.items, CandidateView, page.fields)
        where = chosen(page, fields_of(repository, experiment))
    table = CandidateTable(services.database, experiment, where)
    text = table.csv if wanted == "csv" else table.ndjson
    made: Iterator[str] | Iterator[bytes] = table.parquet() if wanted == "parquet" else text()
    charset = "" if wanted == "parquet" else "; charset=utf-8"
    return StreamingResponse(made, media_type=f"{MEDIA_TYPES[wanted]}{charset}")


@router.get(
    "/candidates/{number}",
    operation_id="getCandidate",
    summary="Get a candidate with its recipe and genome",
    response_model=CandidateDetail,
    responses=responses(404, 422),
)
def get_candidate(key: str, number: Number, repository: Reading) -> CandidateDetail:
    """Gives a candidate with its recipe as mergekit YAML and its genes by name."""
    experiment = repository.experiment(key)
    return candidate_detail(repository, experiment, repository.candidate(experiment.id, number))


@router.get(
    "/candidates/{number}/recipe",
    operation_id="getRecipe",
    summary="Get a candidate's recipe as mergekit YAML",
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"application/yaml": {"schema": {}}}, "description": "The recipe."},
        **responses(404, 409, 422),
    },
)
def get_recipe(key: str, number: Number, repository: Reading) -> Response:
    """Gives the recipe in the format that mergekit and `evomerge merge` read."""
    experiment = repository.experiment(key)
    row = repository.candidate(experiment.id, number)
    text = recipe_text(row)
    if text is None:
        raise ConflictError(
            f"candidate {number} is {row.status} and has no recipe: {row.infeasible_reason}",
            "ask for one that decodes to a recipe",
        )
    return Response(text, media_type="application/yaml; charset=utf-8")


@router.get(
    "/candidates/{number}/lineage",
    operation_id="getLineage",
    summary="Get all ancestors of a candidate",
    response_model=LineageView,
    responses=responses(404, 422),
)
def get_lineage(key: str, number: Number, repository: Reading) -> LineageView:
    """Gives the candidate and all its ancestors, also those that no archive holds any more."""
    return lineage_view(repository, repository.experiment(key), number)


@router.get(
    "/archive",
    operation_id="getArchive",
    summary="Get the best candidate of every cell over the measures",
    response_model=ArchiveView,
    responses=responses(404, 409),
)
def get_archive(key: str, repository: Reading) -> ArchiveView:
    """Gives the archive's filled cells with their elites, on the search split."""
    return archive_view(repository, repository.experiment(key))


@router.get(
    "/front",
    operation_id="getFront",
    summary="Get the front on one split, with baselines",
    response_model=FrontView,
    responses=responses(404, 422),
)
def get_front(
    key: str,
    repository: Reading,
    services: ServicesHere,
    split: Annotated[Split, Query(description="`search` is what the optimizer was told.")] = "search",
    dominated: Annotated[
        int, Query(ge=0, le=100_000, description="How many candidates off the front, the newest first.")
    ] = MOST_DOMINATED,
) -> FrontView:
    """Gives the non-dominated candidates on a split, the baselines and the newest of what they dominate."""
    experiment = repository.experiment(key)
    splits = (split, *(other for other in SPLITS if other != split))
    chosen, *beside = [services.columns.columns(repository.session, experiment, one) for one in splits]
    recipes = partial(repository.recipes, experiment.id)
    return front_view(chosen, experiment, dominated=dominated, recipes=recipes, beside=beside)
