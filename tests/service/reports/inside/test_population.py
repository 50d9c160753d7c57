"""What many recipes have in common, layer by layer."""

from __future__ import annotations

from search_spaces import Parent, ParentPool, Recipe, build_space
from search_spaces.spaces.parameter_space import ParameterSpaceOptions
from service.reports.inside.population import population_maps

POOL = ParentPool((Parent(model="/models/left"), Parent(model="/models/right")), Parent(model="/models/b"), 4)
SPACE = build_space(ParameterSpaceOptions(layer_groups=2), POOL)


def recipes(*genomes: tuple[float, ...]) -> list[Recipe]:
    found = [SPACE.decode(genome) for genome in genomes]
    return [recipe for recipe in found if isinstance(recipe, Recipe)]


def test_mean_and_spread_are_told_for_every_layer() -> None:
    (table,) = population_maps(
        recipes((0.5, 0.0, 1.0, 1.0), (0.5, 1.5, 1.0, 1.0)), 4, SPACE.variables, layer_prefix="model.layers."
    )

    first, last = table.rows[1], table.rows[4]
    assert (first.name, last.name) == ("0", "3")
    assert first.cells[0] is not None
    assert last.cells[0] is not None
    assert (first.cells[0].mean, first.cells[0].spread) == (0.5, 0.0)
    assert (last.cells[0].mean, last.cells[0].spread) == (0.75, 0.75)
    assert (first.agreement, last.agreement) == (1.0, 0.0)
    assert "agree most on layer 0" in table.words


def test_no_recipes_have_nothing_in_common() -> None:
    assert population_maps([], 4, SPACE.variables, layer_prefix="model.layers.") == ()
