"""The parameter space: where its genes act, what it can express, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces import Infeasible, Parent, ParentPool, Recipe, Slice, Source, build_space
from search_spaces.coefficients import coefficient
from search_spaces.errors import NotInSpaceError, SpaceError
from search_spaces.genome import initial_genome
from search_spaces.methods import METHODS
from search_spaces.parameter_space import ParameterSpace, ParameterSpaceOptions
from search_spaces.settings import Setting, constant

BASE, LEFT, RIGHT = (Parent(model=f"org/{name}") for name in ("base", "left", "right"))
POOL = ParentPool((LEFT, RIGHT), BASE, layers=4)


def space(pool: ParentPool = POOL, **options: Any) -> ParameterSpace:
    built = build_space(ParameterSpaceOptions(**options), pool)
    assert isinstance(built, ParameterSpace)
    return built


def decoded(space: ParameterSpace, genome: tuple[float, ...]) -> Recipe:
    recipe = space.decode(genome)
    assert isinstance(recipe, Recipe)
    return recipe


def weight(recipe: Recipe, owner: Parent, tensor: str, layer: float | None) -> float | None:
    return coefficient(recipe, METHODS[recipe.method].parameter("weight"), owner, tensor, layer)


def test_each_parent_group_and_filter_has_a_gene() -> None:
    names = [v.name for v in space(layer_groups=2, filters=("mlp",), outer_genes=True).variables]
    assert len(names) == 2 * (2 * 2 + 1)
    assert names[0] == "weight of left (group 0, mlp)"
    assert names[4] == "weight of left (outside the layers)"


def test_groups_step_and_smooth_interpolates() -> None:
    stepped = decoded(space(layer_groups=2), (0.1, 0.9, 0.0, 0.0))
    assert [weight(stepped, LEFT, f"model.layers.{i}.x", i) for i in range(4)] == [0.1, 0.1, 0.9, 0.9]
    smooth = decoded(space(layer_groups=2, smooth=True), (0.1, 1.0, 0.0, 0.0))
    found = [weight(smooth, LEFT, f"model.layers.{i}.x", i) for i in range(4)]
    assert found == pytest.approx([0.1, 0.4, 0.7, 1.0])


def test_groups_need_not_divide_the_layers() -> None:
    pool = ParentPool((LEFT, RIGHT), BASE, layers=5)
    recipe = decoded(space(pool, layer_groups=3), (0.1, 0.2, 0.3, 0.0, 0.0, 0.0))
    ranges = [part.sources[0].layers for part in recipe.slices]
    assert ranges[0] is not None and ranges[-1] is not None
    assert (ranges[0][0], ranges[-1][1]) == (0, 5)
    assert all(r is not None and r[0] < r[1] for r in ranges)


def test_outer_genes_act_outside_the_layers_only() -> None:
    recipe = decoded(space(outer_genes=True), (0.1, 0.9, 0.2, 0.8))
    assert weight(recipe, LEFT, "model.layers.1.mlp", 1) == 0.1
    assert weight(recipe, LEFT, "model.embed_tokens.weight", None) == 0.9


def test_weights_are_not_normalized_unless_the_user_says_so() -> None:
    assert decoded(space(method="ties"), initial_genome(space(method="ties").variables)).parameters == {  # type: ignore[arg-type]
        "normalize": constant(0.0)
    }


def test_weights_of_zero_that_are_divided_by_are_infeasible() -> None:
    normalized = space(method="linear", fixed={"normalize": True})
    assert isinstance(normalized.decode((0.0, 0.0)), Infeasible)
    assert isinstance(normalized.decode((0.0, 0.1)), Recipe)


def test_a_parent_and_an_average_are_found_in_a_space_of_task_vectors() -> None:
    one = Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=RIGHT),)),))
    assert space().encode(one) == (0.0, 1.0)
    sources = tuple(Source(parent=p, parameters={"weight": constant(1.0)}) for p in (LEFT, RIGHT))
    assert space().encode(Recipe(method="linear", slices=(Slice(sources=sources),))) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("sources", "options"),
    [
        ({LEFT: (Setting(value=(0.0, 1.0)),), RIGHT: constant(1.0)}, {}),
        (
            {LEFT: (Setting(value=0.3, filter="mlp"), Setting(value=0.5)), RIGHT: constant(1.0)},
            {"layer_groups": 2},
        ),
        ({LEFT: constant(7.0), RIGHT: constant(1.0)}, {}),
        ({LEFT: constant(1.0)}, {}),
    ],
)
def test_a_recipe_that_the_space_cannot_express_is_refused(
    sources: dict[Parent, Any], options: dict[str, Any]
) -> None:
    part = Slice(sources=tuple(Source(parent=p, parameters={"weight": w}) for p, w in sources.items()))
    recipe = Recipe(
        method="task_arithmetic", slices=(part,), base=BASE, parameters={"normalize": constant(0.0)}
    )
    with pytest.raises(NotInSpaceError):
        space(**options).encode(recipe)


@pytest.mark.parametrize(
    ("options", "field", "part"),
    [
        ({"method": "tise"}, "space.method", "did you mean 'ties'?"),
        ({"search": ("wieght",)}, "space.search.wieght", "did you mean 'weight'?"),
        ({"bounds": {"weight": (1.0, 0.0)}}, "space.bounds.weight", "write [low, high]"),
        ({"bounds": {"weight": (0.0, float("inf"))}}, "space.bounds.weight", "write [low, high]"),
        ({"bounds": {"t": (0.0, 1.0)}}, "space.bounds.t", "unknown parameter"),
        ({"fixed": {"normalise": True}}, "space.fixed.normalise", "did you mean 'normalize'?"),
        ({"search": ("weight",), "fixed": {"weight": 1.0}}, "space.fixed", "searched as well"),
        ({"method": "ties", "search": ("density",)}, "space.search", "weight is neither searched nor fixed"),
        ({"fixed": {"weight": 1.0}}, "space.search", "no parameter is searched"),
        ({"layer_groups": 5}, "space.layer_groups", "use at most 4"),
        ({"method": "passthrough", "search": ("scale",)}, "parents", "takes 1 to 1, got 2"),
    ],
)
def test_options_that_hold_no_recipe_are_refused(options: dict[str, Any], field: str, part: str) -> None:
    with pytest.raises(SpaceError) as caught:
        space(**options)
    assert caught.value.field == field
    assert part in str(caught.value)


def test_a_method_on_task_vectors_needs_a_base() -> None:
    with pytest.raises(SpaceError, match="needs a base model"):
        space(ParentPool((LEFT,), None, layers=4))
