"""Analysis: which genes matter for which objective, and how objectives go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from numpy.typing import NDArray

from search_spaces import Variable
from service.errors import NotFoundError
from service.reports.analysis.correlations import correlations
from service.reports.analysis.genes import gene_matrices
from service.reports.analysis.importance import GeneImportance, importances
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.formats import is_share
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.pictures.inside_pictures import variables_of
from service.web.dashboard.rendering import missing, render
from service.web.dependencies import Reading, Services, ServicesHere

MOST_GENES = 12  # that are listed per objective
MOST_SLICES = 3
MOST_DOTS = 400
WIDTH, HEIGHT, MARGIN = 300.0, 150.0, 8.0  # units of a slice's picture
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Slice:
    """One gene against one objective: dots in a box of `WIDTH` by `HEIGHT`."""

    gene: str
    low: str
    high: str
    dots: tuple[tuple[float, float], ...]
    worst: float
    best: float


@dataclass(frozen=True, slots=True)
class ObjectiveAnalysis:
    """What matters for one objective; `genes` is empty where too few candidates are scored."""

    name: str
    share: bool
    genes: Sequence[GeneImportance]
    slices: Sequence[Slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisContext(ExperimentPage):
    """What matters.

    Attributes:
        candidates: How many were looked at.
        correlations: Spearman's, one row per objective; empty where there are too few candidates.
    """

    candidates: int
    objectives: Sequence[ObjectiveAnalysis]
    correlations: Sequence[Sequence[float | None]]
    width: float = WIDTH
    height: float = HEIGHT


@router.get("/analysis")
def analysis(key: str, repository: Reading, services: ServicesHere) -> HTMLResponse:
    """Shows importances with what chance alone would give, slices and correlations."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    units, values, fitness = _matrices(services, repository, row)
    variables = variables_of(row)
    names = [variable.name for variable in variables]
    objectives = []
    for place, objective in enumerate(detail.objectives):
        genes = importances(units, fitness[:, place], names)
        slices = [
            _slice(variables[one.place], units[:, one.place], values[:, place]) for one in genes[:MOST_SLICES]
        ]
        objectives.append(
            ObjectiveAnalysis(objective.name, is_share(objective.metric), genes[:MOST_GENES], slices)
        )
    page = AnalysisContext(
        experiment=detail,
        newest_event=newest,
        current="analysis",
        candidates=len(fitness),
        objectives=objectives,
        correlations=correlations(fitness) if len(detail.objectives) > 1 else [],
    )
    return render("analysis.html", page)


def _matrices(
    services: Services, repository: Repository, row: ExperimentRow
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns genes in the unit cube (n, d), scores and fitness (n, m) of evolved candidates."""
    columns = services.columns.columns(repository.session, row, "search")
    found = gene_matrices(repository.session, row, columns, variables_of(row))
    return found.units, found.values, found.fitness


def _slice(variable: Variable, units: NDArray[np.float64], values: NDArray[np.float64]) -> Slice:
    shown = slice(max(len(units) - MOST_DOTS, 0), None)
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    dots = tuple(
        (
            round(MARGIN + unit * (WIDTH - 2 * MARGIN), 1),
            round(HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN), 1),
        )
        for unit, value in zip(units[shown].tolist(), values[shown].tolist(), strict=True)
    )
    ends = (variable.from_unit(0.0), variable.from_unit(1.0))
    texts = [f"{end:.3g}" if isinstance(end, float) else str(end) for end in ends]
    return Slice(variable.name, texts[0], texts[1], dots, low, high)
