"""Exports: how one is asked for, and how far those are that were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.views import ExportView
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading

EXPORT_ROWS = 20
router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportContext(ExperimentPage):
    """The experiment's exports, newest first, and the candidate that the form has at first."""

    exports: Sequence[ExportView]
    first: int | None


@router.get("/export")
def export(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows how a candidate is exported, and the exports there are."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    exports = [reports.export_view(found) for found in repository.exports(row.id, limit=EXPORT_ROWS)]
    chosen = chosen_numbers(wanted, 1)
    page = ExportContext(
        experiment=detail, newest_event=newest, current="export", exports=exports, first=None
    )
    page = replace(page, first=chosen[0] if chosen else page.chosen)
    return render("export.html", page)
