"""From rows to what is shown of a merge's inside: coefficient tables and the way through the layers."""

from __future__ import annotations

from search_spaces import Recipe, Variable
from service.experiment.spec import ExperimentSpec
from service.reports.inside.coefficient_maps import CoefficientMap, coefficient_maps, constants
from service.reports.inside.population import PopulationMap, population_maps
from service.specification.planning import build_space_for
from service.store.models import CandidateRow, ExperimentRow
from service.web.dashboard.pictures.stacking import StackingPicture, stacking_picture


def variables_of(row: ExperimentRow) -> tuple[Variable, ...]:
    """Returns the variables of an experiment's search space."""
    return build_space_for(ExperimentSpec.model_validate(row.spec), row.facts).variables


def maps_of(row: ExperimentRow, found: CandidateRow) -> tuple[CoefficientMap, ...]:
    """Returns a candidate's coefficients; empty for one without a recipe."""
    if found.recipe is None:
        return ()
    return coefficient_maps(
        Recipe.model_validate(found.recipe),
        row.facts["layers"],
        variables_of(row),
        layer_prefix=row.facts["layer_prefix"],
    )


def constants_of(row: ExperimentRow, found: CandidateRow) -> str:
    """Says in a line which parameters are the same everywhere; empty where there are none."""
    if found.recipe is None:
        return ""
    told = constants(Recipe.model_validate(found.recipe), row.facts["layers"], variables_of(row))
    return ", ".join(f"{name} {value:g}" for name, value in told.items())


def stacking_of(row: ExperimentRow, found: CandidateRow) -> StackingPicture | None:
    """Returns the way through a candidate's layers, where it is worth a picture."""
    if found.recipe is None:
        return None
    return stacking_picture(Recipe.model_validate(found.recipe), row.facts["layers"])


def population_of(row: ExperimentRow, recipes: list[Recipe]) -> tuple[PopulationMap, ...]:
    """Returns what many of an experiment's recipes have in common."""
    return population_maps(
        recipes, row.facts["layers"], variables_of(row), layer_prefix=row.facts["layer_prefix"]
    )
