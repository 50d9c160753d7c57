"""Routes of the dashboard: read the query, ask the reports for views, render a context.

Every page works without scripts and has its twin in the API, named in its footer.
"""

from __future__ import annotations

import zlib
from typing import Annotated
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.archive import archive_view
from service.reports.front import front_view
from service.reports.lineage import lineage_view
from service.reports.views import ExperimentDetail
from service.specification.baselines import baseline_count
from service.store.experiment_filter import experiments_that_fit, tags_in_use
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of
from service.web.dashboard import assets, formats
from service.web.dashboard.choices import ListChoice, ReaderChoice
from service.web.dashboard.contexts import CandidateContext, ExperimentContext, ListContext
from service.web.dashboard.frame import detail_and_event
from service.web.dashboard.pictures import figures
from service.web.dashboard.pictures.archive_figure import archive_course_figure, archive_figure
from service.web.dashboard.pictures.inside_pictures import constants_of, maps_of, stacking_of
from service.web.dashboard.pictures.lineage import lineage_picture
from service.web.dashboard.pictures.plane import MOST_ON_FRONT, MOST_POINTS
from service.web.dashboard.rendering import Wanted, figure, missing, render
from service.web.dashboard.verdict import Verdict, verdict_of
from service.web.dependencies import Reading, Services, ServicesHere

LIST_ROWS = 50

router = APIRouter(include_in_schema=False)
ThemeWanted = Annotated[figures.Theme, Query()]


@router.get("/")
def experiments(repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Lists all experiments, or those that fit, newest first."""
    choice = ListChoice.read(wanted)
    fits = choice.filter
    among = None if fits.is_empty else experiments_that_fit(repository.session, fits)
    before = _as_id(wanted.get("before", ""))
    rows = repository.experiments(limit=LIST_ROWS + 1, before=before, among=among, deleted=choice.deleted)
    shown = rows[:LIST_ROWS]
    older = str(shown[-1].id) if len(rows) > LIST_ROWS else None
    views = [reports.experiment_view(repository, row) for row in shown]
    return render("experiments.html", ListContext(views, older, choice, tags_in_use(repository.session)))


@router.get("/e/{key}")
def experiment(key: str, repository: Reading, services: ServicesHere, wanted: Wanted) -> HTMLResponse:
    """Shows an experiment at a glance: verdict, progress, front."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    page = ExperimentContext(
        experiment=detail,
        newest_event=newest,
        choice=ReaderChoice.read(wanted, [objective.name for objective in detail.objectives]),
        baselines=[reports.candidate_view(found, front=frozenset()) for found in _baselines(repository, row)],
        verdict=_verdict(services, repository, row, detail),
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
        return missing(error)
    page = CandidateContext(
        experiment=reports.experiment_view(repository, row),
        candidate=reports.candidate_detail(repository, row, found),
        maps=maps_of(row, found),
        constants=constants_of(row, found),
        stacking=stacking_of(row, found),
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
    picture = (
        figures.best_so_far_figure(view, theme=theme)
        if one
        else figures.front_figure(view, choice.x, choice.y, theme=theme)
    )
    return figure(picture.to_json(), tag)


@router.get("/e/{key}/figures/hypervolume.json")
def hypervolume_figure(key: str, repository: Reading, theme: ThemeWanted = "light") -> Response:
    """Gives hypervolume and best weighted mean over the candidates as a plotly figure."""
    row = repository.experiment(key)
    progress = reports.progress_view(repository, row)
    return figure(figures.progress_figure(progress, objectives_of(row).each, theme=theme).to_json())


@router.get("/e/{key}/figures/archive.json")
def archive_of_experiment(key: str, repository: Reading, theme: ThemeWanted = "light") -> Response:
    """Gives the archive's cells over the measures as a plotly figure."""
    row = repository.experiment(key)
    share = formats.all_shares(objectives_of(row).each)
    return figure(archive_figure(archive_view(repository, row), share=share, theme=theme).to_json())


@router.get("/e/{key}/figures/archive-course.json")
def course_of_archive(key: str, repository: Reading, theme: ThemeWanted = "light") -> Response:
    """Gives coverage and QD-score over the candidates as a plotly figure."""
    view = archive_view(repository, repository.experiment(key))
    return figure(archive_course_figure(view, theme=theme).to_json())


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


def _baselines(repository: Repository, row: ExperimentRow) -> list[CandidateRow]:
    count = baseline_count(row.facts)
    return repository.candidates(row.id, limit=count) if count else []


def _as_id(text: str) -> UUID | None:
    """Returns the id in a query string; a mistyped address shows the newest."""
    try:
        return UUID(text)
    except ValueError:
        return None
