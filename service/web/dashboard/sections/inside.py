"""Inside a merge: what the front has in common layer by layer, and one candidate or two beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from search_spaces import Recipe
from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.inside.coefficient_maps import CoefficientMap
from service.reports.inside.population import MOST_RECIPES, PopulationMap
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.pictures.inside_pictures import constants_of, maps_of, population_of, stacking_of
from service.web.dashboard.pictures.stacking import StackingPicture
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading

MOST_BESIDE = 2
router = APIRouter()


@dataclass(frozen=True, slots=True)
class OneInside:
    """One candidate's inside."""

    number: int
    label: str | None
    recipe: str | None
    maps: Sequence[CoefficientMap]
    constants: str
    stacking: StackingPicture | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideContext(ExperimentPage):
    """What merges look like inside.

    Attributes:
        population: Over the front's candidates that an optimizer proposed.
        shown: The candidates in the basket, or the winner.
    """

    population: Sequence[PopulationMap]
    shown: Sequence[OneInside]


@router.get("/inside")
def inside(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the front's coefficients, and those of the candidates in the basket."""
    try:
        row = repository.experiment(key)
        detail, newest = detail_and_event(repository, row)
        numbers = chosen_numbers(wanted, MOST_BESIDE)
        if not numbers and (best := detail.winner or None) is not None:
            numbers = [best.number]
        elif not numbers and detail.progress.best_number is not None:
            numbers = [detail.progress.best_number]
        shown = [_inside(row, repository.candidate(row.id, number)) for number in numbers]
    except NotFoundError as error:
        return missing(error)
    page = InsideContext(
        experiment=detail,
        newest_event=newest,
        current="inside",
        population=population_of(row, _recipes_on_front(repository, row)),
        shown=shown,
    )
    return render("inside.html", page)


def _inside(row: ExperimentRow, found: CandidateRow) -> OneInside:
    recipe = reports.recipe_text(found)
    return OneInside(
        found.number,
        found.label,
        recipe,
        maps_of(row, found),
        constants_of(row, found),
        stacking_of(row, found),
    )


def _recipes_on_front(repository: Repository, row: ExperimentRow) -> list[Recipe]:
    """Returns the recipes of the front's newest candidates; baselines come first and are left out."""
    baselines = len(row.facts["baselines"])
    numbers = sorted(n for n in reports.front_numbers(repository, row.id) if n >= baselines)
    return list(repository.recipes(row.id, numbers[-MOST_RECIPES:]).values())
