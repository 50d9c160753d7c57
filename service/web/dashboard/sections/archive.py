"""The archive of a quality-diversity search: its cells, filled and empty."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.errors import ConflictError, NotFoundError
from service.reports.archive import archive_view
from service.reports.search_views import ArchiveView
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import missing, render
from service.web.dependencies import Reading

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveContext(ExperimentPage):
    """The archive; None for an experiment without measures."""

    archive: ArchiveView | None

    @property
    def all_cells(self) -> int:
        """How many cells there are, filled and empty."""
        cells = 1
        for measure in self.archive.measures if self.archive else ():
            cells *= measure.cells
        return cells


@router.get("/archive")
def archive(key: str, repository: Reading) -> HTMLResponse:
    """Shows the best candidate of every cell."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    try:
        view = archive_view(repository, row)
    except ConflictError:
        view = None
    page = ArchiveContext(experiment=detail, newest_event=newest, current="archive", archive=view)
    return render("archive.html", page)
