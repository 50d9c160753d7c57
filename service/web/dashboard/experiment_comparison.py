"""Experiments side by side: how they were searched, how far they came, and their fronts in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import plotly.graph_objects as go
from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from evaluators import Split
from service.errors import NotFoundError
from service.experiment.objectives import ObjectiveFacts
from service.reports import experiments as reports
from service.reports.front import front_view
from service.reports.views import ExperimentDetail, FrontView
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.formats import is_share
from service.web.dashboard.pictures.figures import Theme, or_nothing
from service.web.dashboard.pictures.plane import MOST_ON_FRONT, PALETTES, axis, plain_layout, score_of
from service.web.dashboard.rendering import figure, missing, render
from service.web.dependencies import Reading, Services, ServicesHere

MOST_COMPARED = 6
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
router = APIRouter(include_in_schema=False)
Keys = Annotated[list[str], Query(max_length=MOST_COMPARED)]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that experiments say differently, as text per experiment."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComparisonContext:
    """Experiments side by side.

    Attributes:
        shared: Names of the objectives that all of them have.
        differences: What their specs say differently.
        query: The experiments as a query string.
    """

    experiments: Sequence[ExperimentDetail]
    shared: Sequence[str]
    differences: Sequence[Difference]
    query: str
    twin: str = "/api/v1/experiments"


@router.get("/compare")
def compare(repository: Reading, e: Keys = []) -> HTMLResponse:  # noqa: B006 - FastAPI copies it
    """Shows experiments side by side."""
    try:
        rows = [repository.experiment(key) for key in dict.fromkeys(e)]
    except NotFoundError as error:
        return missing(error)
    details = [reports.experiment_detail(repository, row) for row in rows]
    page = ComparisonContext(
        experiments=details,
        shared=_shared(details),
        differences=_differences([row.spec for row in rows]),
        query="&".join(f"e={row.id}" for row in rows),
    )
    return render("comparison.html", page)


@router.get("/compare/fronts.json")
def fronts(
    repository: Reading, services: ServicesHere, e: Keys, split: Split = "search", theme: Theme = "light"
) -> Response:
    """Gives the experiments' fronts as one plotly figure, over the first two objectives they share."""
    rows = [repository.experiment(key) for key in dict.fromkeys(e)]
    details = [reports.experiment_detail(repository, row) for row in rows]
    names = _shared(details)[:2]
    objectives = [o for name in names for o in details[0].objectives if o.name == name] if details else []
    views = [_view(services, repository, row, split) for row in rows]
    traces = [
        trace
        for place, (row, view) in enumerate(zip(rows, views, strict=True))
        if objectives and (trace := _trace(row.name, view, objectives, COLOURS[place])) is not None
    ]
    palette = PALETTES[theme]
    layout = plain_layout(palette) | {
        f"{which}axis": axis(palette, objective.name, share=is_share(objective.metric))
        for which, objective in zip("xy", [*objectives, *objectives][:2], strict=False)
    }
    words = f"The fronts of {len(traces)} experiments over {' and '.join(names)} on the {split} split."
    return figure(or_nothing(go.Figure(traces, layout | {"meta": {"description": words}})).to_json())


def _view(services: Services, repository: Repository, row: ExperimentRow, split: Split) -> FrontView:
    columns = services.columns.columns(repository.session, row, split)
    return front_view(columns, row, dominated=0, most=MOST_ON_FRONT)


def _trace(
    name: str, view: FrontView, objectives: Sequence[ObjectiveFacts], colour: str
) -> go.Scatter | None:
    x, y = objectives[0], objectives[-1]
    placed = []
    for point in view.front:
        across, up = score_of(point, x.name, view.split), score_of(point, y.name, view.split)
        if across is not None and up is not None:
            placed.append((across.value, up.value))
    if not placed:
        return None
    placed.sort()
    return go.Scatter(
        name=name.replace("<", "&lt;"),
        x=[place[0] for place in placed],
        y=[place[1] for place in placed],
        mode="lines+markers" if len(view.objectives) == 2 else "markers",
        line={"shape": "vh" if x.higher_is_better else "hv", "color": colour},
        marker={"size": 7},
    )


def _shared(details: Sequence[ExperimentDetail]) -> list[str]:
    if not details:
        return []
    others = [{objective.name for objective in one.objectives} for one in details[1:]]
    return [o.name for o in details[0].objectives if all(o.name in names for names in others)]


def _differences(specs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Returns what the specs say differently, flattened to dotted names; the name itself is left out."""
    flat = [dict(_flattened(spec)) for spec in specs]
    names = sorted({name for one in flat for name in one} - {"name"})
    told = [Difference(name, tuple(one.get(name, "–") for one in flat)) for name in names]
    return [one for one in told if len(set(one.values)) > 1]


def _flattened(value: object, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            pair for key, inner in value.items() for pair in _flattened(inner, f"{prefix}.{key}".lstrip("."))
        ]
    if isinstance(value, list):
        return [pair for place, inner in enumerate(value) for pair in _flattened(inner, f"{prefix}.{place}")]
    return [(prefix, str(value))] if value is not None else []
