"""Routes of the dashboard: read the query, ask the reports for views, render a context.

Every page works without scripts and has its twin in the API, named in its footer.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import numpy as np
import plotly.graph_objects as go
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluators import SPLITS
from search_spaces import Recipe
from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.archive import archive_view
from service.reports.front import front_view
from service.reports.layer_weights import LayerWeights, layer_weights
from service.reports.lineage import lineage_view
from service.reports.views import CandidateView, ExperimentDetail
from service.store.candidate_order import NOT_PROPOSED_BY_A_SEARCH, WITHOUT_SCORES, numbers_in_order
from service.store.failure_groups import failure_groups
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of
from service.web.dashboard import assets, figures, formats
from service.web.dashboard.archive_figure import archive_figure
from service.web.dashboard.contexts import (
    PAGE_ROWS,
    CandidateContext,
    Context,
    ExperimentContext,
    ListContext,
    MissingContext,
    ReaderChoice,
)
from service.web.dashboard.lineage import lineage_picture
from service.web.dashboard.plane import MOST_ON_FRONT, MOST_POINTS
from service.web.dashboard.stacking import StackingPicture, stacking_picture
from service.web.dashboard.verdict import Verdict, verdict_of
from service.web.dependencies import Reading, Services, ServicesHere

LIST_ROWS = 50
EXPORT_ROWS = 20

router = APIRouter(include_in_schema=False)
_TEMPLATES = Environment(
    loader=PackageLoader("service.web.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(formats.FILTERS)
_TEMPLATES.globals.update(address=assets.address, all_shares=formats.all_shares, splits=SPLITS)


def _wanted(request: Request) -> dict[str, str]:
    return dict(request.query_params)


Wanted = Annotated[dict[str, str], Depends(_wanted)]
ThemeWanted = Annotated[figures.Theme, Query()]


def render(template: str, page: Context, *, status: int = 200) -> HTMLResponse:
    """Fills a template with its context."""
    text = _TEMPLATES.get_template(template).render(page=page)
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-cache"})


@router.get("/")
def experiments(repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Lists all experiments, newest first."""
    rows = repository.experiments(limit=LIST_ROWS + 1, before=_as_id(wanted.get("before", "")))
    shown = rows[:LIST_ROWS]
    older = str(shown[-1].id) if len(rows) > LIST_ROWS else None
    views = [reports.experiment_view(repository, row) for row in shown]
    return render("experiments.html", ListContext(views, older))


@router.get("/e/{key}")
def experiment(key: str, repository: Reading, services: ServicesHere, wanted: Wanted) -> HTMLResponse:
    """Shows an experiment: verdict, progress, front, candidates."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return _missing(error)
    detail = reports.experiment_detail(repository, row)
    choice = ReaderChoice.read(wanted, [objective.name for objective in detail.objectives])
    candidates, total = _table(repository, row, choice)
    page = ExperimentContext(
        experiment=detail,
        choice=choice,
        baselines=[reports.candidate_view(found, front=frozenset()) for found in _baselines(repository, row)],
        verdict=_verdict(services, repository, row, detail),
        candidates=candidates,
        failures=failure_groups(repository.session, row.id) if choice.show == "failed" else (),
        total=total,
        exports=[reports.export_view(export) for export in repository.exports(row.id, limit=EXPORT_ROWS)],
        newest_event=repository.last_event(),
        best_held_out=_best_held_out(services, repository, row, detail),
    )
    return render("experiment.html", page)


@router.get("/e/{key}/c/{number}")
def candidate(key: str, number: str, repository: Reading) -> HTMLResponse:
    """Shows a candidate: scores on all splits, recipe, what each parent gives to each layer."""
    try:
        row = repository.experiment(key)
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            raise NotFoundError("candidate", number)
        found = repository.candidate(row.id, int(number))
    except NotFoundError as error:
        return _missing(error)
    page = CandidateContext(
        experiment=reports.experiment_view(repository, row),
        candidate=reports.candidate_detail(repository, row, found),
        weights=_weights(row, found),
        stacking=_stacking(row, found),
        lineage=lineage_picture(lineage_view(repository, row, found.number)),
    )
    return render("candidate.html", page)


@router.get("/e/{key}/figures/front.json")
def front_figure(
    key: str,
    request: Request,
    repository: Reading,
    services: ServicesHere,
    wanted: Wanted,
    theme: ThemeWanted = "light",
) -> Response:
    """Gives the front as a plotly figure; with one objective, that objective over the candidates."""
    row = repository.experiment(key)
    choice = ReaderChoice.read(wanted, list(objectives_of(row).names))
    columns = services.columns.columns(repository.session, row, choice.split)
    tag = f'"{columns.newest}-{zlib.crc32(request.url.query.encode()):08x}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    view = front_view(columns, row, dominated=MOST_POINTS, most=MOST_ON_FRONT)
    one = len(view.objectives) == 1
    figure = (
        figures.best_so_far_figure(view, theme=theme)
        if one
        else figures.front_figure(view, choice.x, choice.y, theme=theme)
    )
    return _figure(figure, tag)


@router.get("/e/{key}/figures/hypervolume.json")
def hypervolume_figure(key: str, repository: Reading, theme: ThemeWanted = "light") -> Response:
    """Gives hypervolume and best weighted mean over the candidates as a plotly figure."""
    row = repository.experiment(key)
    progress = reports.progress_view(repository, row)
    return _figure(figures.progress_figure(progress, objectives_of(row).each, theme=theme))


@router.get("/e/{key}/figures/archive.json")
def archive_of_experiment(key: str, repository: Reading, theme: ThemeWanted = "light") -> Response:
    """Gives the archive's cells over the measures as a plotly figure."""
    row = repository.experiment(key)
    share = formats.all_shares(objectives_of(row).each)
    return _figure(archive_figure(archive_view(repository, row), share=share, theme=theme))


@router.get("/static/{version}/{name}")
def static_file(version: str, name: str, request: Request) -> Response:
    """Gives a stylesheet or script; its address changes whenever its content does."""
    if name not in assets.names():
        raise NotFoundError("file", name)
    asset = assets.asset(name)
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
    if version == assets.version(name):
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.gzipped, media_type=asset.media_type, headers=headers)
    return Response(asset.plain, media_type=asset.media_type, headers=headers)


def _verdict(
    services: Services, repository: Repository, row: ExperimentRow, detail: ExperimentDetail
) -> Verdict | None:
    if detail.winner is None:
        return None
    columns = services.columns.columns(repository.session, row, "test")
    return verdict_of(detail, front_view(columns, row, dominated=0, most=0))


def _best_held_out(
    services: Services, repository: Repository, row: ExperimentRow, detail: ExperimentDetail
) -> float | None:
    if detail.winner is None:
        return None
    columns = services.columns.columns(repository.session, row, "test")
    found = columns.scalars[columns.numbers == detail.progress.best_number]
    return float(found[0]) if len(found) and np.isfinite(found[0]) else None


def _table(
    repository: Repository, row: ExperimentRow, choice: ReaderChoice
) -> tuple[Sequence[CandidateView], int]:
    """Returns one page of the chosen candidates, and how many there are on all."""
    front = reports.front_numbers(repository, row.id)
    numbers, total = numbers_in_order(
        repository.session,
        row.id,
        choice.order,
        split=choice.split,
        status=WITHOUT_SCORES if choice.show == "failed" else (),
        kinds=NOT_PROPOSED_BY_A_SEARCH if choice.show == "baselines" else (),
        among=front if choice.show == "front" else None,
        limit=PAGE_ROWS,
        offset=(choice.page - 1) * PAGE_ROWS,
    )
    found = {each.number: each for each in repository.candidates_numbered(row.id, numbers)}
    return [reports.candidate_view(found[number], front=front) for number in numbers], total


def _baselines(repository: Repository, row: ExperimentRow) -> list[CandidateRow]:
    count = len(row.facts["baselines"])
    return repository.candidates(row.id, limit=count) if count else []


def _weights(row: ExperimentRow, found: CandidateRow) -> LayerWeights | None:
    if found.recipe is None:
        return None
    recipe = Recipe.model_validate(found.recipe)
    return layer_weights(recipe, row.facts["layers"], layer_prefix=row.facts["layer_prefix"])


def _stacking(row: ExperimentRow, found: CandidateRow) -> StackingPicture | None:
    if found.recipe is None:
        return None
    return stacking_picture(Recipe.model_validate(found.recipe), row.facts["layers"])


def _missing(error: NotFoundError) -> HTMLResponse:
    return render("missing.html", MissingContext(error.detail), status=404)


def _figure(figure: go.Figure, tag: str | None = None) -> Response:
    headers = {"Cache-Control": "no-cache"} | ({"ETag": tag} if tag else {})
    return Response(figure.to_json(), media_type="application/json", headers=headers)


def _as_id(text: str) -> UUID | None:
    """Returns the id in a query string; a mistyped address shows the newest."""
    try:
        return UUID(text)
    except ValueError:
        return None
