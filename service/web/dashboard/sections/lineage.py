"""Where a candidate comes from: all of its ancestors, coloured by their score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.lineage import lineage_view
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.pictures.lineage import LineagePicture, lineage_picture
from service.web.dashboard.rendering import Wanted, missing, render
from service.web.dependencies import Reading

MOST_OFFERED = 60
router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageContext(ExperimentPage):
    """A family tree.

    Attributes:
        of: Whose it is; None before anything was scored.
        tree: None for a candidate without ancestors.
        offered: Other candidates whose tree may be looked at: the front's newest.
    """

    of: int | None
    tree: LineagePicture | None
    offered: Sequence[int]


@router.get("/lineage")
def lineage(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the ancestors of one candidate, of the winner at first."""
    try:
        row = repository.experiment(key)
        detail, newest = detail_and_event(repository, row)
        given = wanted.get("of", "")
        best = detail.winner.number if detail.winner else detail.progress.best_number
        number = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else best
        tree = None if number is None else lineage_picture(lineage_view(repository, row, number))
    except NotFoundError as error:
        return missing(error)
    offered = sorted(reports.front_numbers(repository, row.id) | ({number} if number is not None else set()))
    page = LineageContext(
        experiment=detail,
        newest_event=newest,
        current="lineage",
        of=number,
        tree=tree,
        offered=offered[-MOST_OFFERED:],
    )
    return render("lineage.html", page)
