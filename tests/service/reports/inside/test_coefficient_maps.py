"""A recipe is shown as what each parent gives to each layer."""

from __future__ import annotations

from search_spaces import Parent, ParentPool, Recipe, Slice, Source, build_space
from search_spaces.recipes.settings import constant
from search_spaces.spaces.parameter_space import ParameterSpaceOptions
from service.reports.inside.coefficient_maps import coefficient_differences, coefficient_maps, constants

LEFT, RIGHT, BASE = Parent(model="/models/left"), Parent(model="/models/right"), Parent(model="/models/base")
SPACE = build_space(
    ParameterSpaceOptions(layer_groups=2, filters=("mlp",)), ParentPool((LEFT, RIGHT), BASE, 8)
)


def decoded(*genome: float) -> Recipe:
    recipe = SPACE.decode(genome)
    assert isinstance(recipe, Recipe)
    return recipe


def test_each_layer_group_is_one_row_and_each_part_of_a_parent_one_column() -> None:
    (table,) = coefficient_maps(decoded(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 8, SPACE.variables)

    assert [(c.parent, c.part) for c in table.columns] == [
        ("left", "mlp"), ("left", "other tensors"), ("right", "mlp"), ("right", "other tensors"),
    ]  # fmt: skip
    layers = {row.name: row.values for row in table.rows}
    assert layers["0–3"] == (0.1, 0.2, 0.5, 0.6)
    assert layers["4–7"] == (0.3, 0.4, 0.7, 0.8)


def test_the_embeddings_are_the_first_groups_and_the_head_is_the_last_ones() -> None:
    (table,) = coefficient_maps(decoded(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 8, SPACE.variables)

    assert table.rows[0].name == "embeddings"
    assert table.rows[0].values == (0.2, 0.2, 0.6, 0.6)
    assert table.rows[-1].name == "head"
    assert table.rows[-1].values == (0.4, 0.4, 0.8, 0.8)


def test_colours_are_scaled_by_the_bounds_of_the_space_whatever_the_values_are() -> None:
    (table,) = coefficient_maps(decoded(*[0.75] * 8), 8, SPACE.variables)

    assert (table.low, table.high) == (0.0, 1.5)
    assert table.heat(0.75) == 50


def test_a_parameter_that_is_the_same_everywhere_is_told_in_a_line() -> None:
    sources = (
        Source(parent=LEFT, parameters={"weight": constant(0.6)}),
        Source(parent=RIGHT, parameters={"weight": constant(0.6)}),
    )
    recipe = Recipe(method="linear", slices=(Slice(sources=sources),))

    assert coefficient_maps(recipe, 4, ()) == ()
    assert constants(recipe, 4, ())["weight"] == 0.6


def test_a_shared_parameter_has_one_column() -> None:
    part = Slice(sources=(Source(parent=LEFT), Source(parent=RIGHT)), parameters={"t": constant(0.25)})
    recipe = Recipe(method="slerp", slices=(part,), base=LEFT)

    assert constants(recipe, 4, ())["t"] == 0.25


def test_a_parent_as_it_is_has_nothing_to_show() -> None:
    recipe = Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=LEFT),)),))

    assert coefficient_maps(recipe, 4, ()) == ()


def test_two_recipes_differ_by_the_coefficients_of_the_first_less_the_second() -> None:
    first, second = decoded(*[0.5] * 8), decoded(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.2, 0.2)

    (table,) = coefficient_differences(first, second, 8)

    layers = {row.name: row.values for row in table.rows}
    assert layers["0–3"] == (0.0, 0.0, 0.0, 0.0)
    assert [round(value or 0.0, 6) for value in layers["4–7"]] == [0.0, 0.0, 0.3, 0.3]
    assert coefficient_differences(first, first, 8) == ()
