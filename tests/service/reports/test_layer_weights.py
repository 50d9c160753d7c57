"""A recipe is shown as what each parent gives to each layer."""

from __future__ import annotations

from search_spaces import Parent, ParentPool, Recipe, Slice, Source, build_space
from search_spaces.recipes.settings import constant
from search_spaces.spaces.parameter_space import ParameterSpaceOptions
from service.reports.layer_weights import layer_weights

LEFT, RIGHT, BASE = Parent(model="/models/left"), Parent(model="/models/right"), Parent(model="/models/base")


def test_each_layer_group_is_one_row_and_each_part_of_a_parent_one_column() -> None:
    space = build_space(
        ParameterSpaceOptions(layer_groups=2, filters=("mlp",)), ParentPool((LEFT, RIGHT), BASE, 8)
    )
    recipe = space.decode((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
    assert isinstance(recipe, Recipe)

    table = layer_weights(recipe, 8)

    assert table is not None
    assert [(c.parent, c.part) for c in table.columns] == [
        ("left", "mlp"), ("left", "other tensors"), ("right", "mlp"), ("right", "other tensors"),
    ]  # fmt: skip
    assert [(row.layers, row.values) for row in table.rows] == [
        ("0–3", (0.1, 0.2, 0.5, 0.6)),
        ("4–7", (0.3, 0.4, 0.7, 0.8)),
    ]


def test_a_constant_recipe_has_one_row() -> None:
    sources = (
        Source(parent=LEFT, parameters={"weight": constant(0.6)}),
        Source(parent=RIGHT, parameters={"weight": constant(0.4)}),
    )
    table = layer_weights(Recipe(method="linear", slices=(Slice(sources=sources),)), 4)

    assert table is not None
    assert [(row.layers, row.values) for row in table.rows] == [("0–3", (0.6, 0.4))]


def test_a_shared_parameter_has_one_column() -> None:
    part = Slice(sources=(Source(parent=LEFT), Source(parent=RIGHT)), parameters={"t": constant(0.25)})

    table = layer_weights(Recipe(method="slerp", slices=(part,), base=LEFT), 4)

    assert table is not None
    assert [column.parent for column in table.columns] == ["all parents"]
    assert table.rows[0].values == (0.25,)


def test_a_parent_as_it_is_has_nothing_to_show() -> None:
    recipe = Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=LEFT),)),))

    assert layer_weights(recipe, 4) is None
