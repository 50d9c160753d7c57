"""The parameter space: where its genes act, what it can express, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces import Infeasible, Parent, ParentPool, Recipe, Slice, Source, build_space
from search_spaces.catalogue.methods import METHODS
from search_spaces.errors import NotInSpaceError, SpaceError
from search_spaces.genome import Genome, from_unit_cube, initial_genome
from search_spaces.recipes.settings import Setting, constant
from search_spaces.spaces.coefficients import coefficient
from search_spaces.spaces.parameter_space import ParameterSpace, ParameterSpaceOptions

BASE, LEFT, RIGHT = (Parent(model=f"org/{name}") for name in ("base", "left", "right"))
POOL = ParentPool((LEFT, RIGHT), BASE, layers=4)


def space(pool: ParentPool = POOL, **options: Any) -> ParameterSpace:
    built = build_space(ParameterSpaceOptions(**options), pool)
    assert isinstance(built, ParameterSpace)
    return built


def decoded(space: ParameterSpace, genome: Genome) -> Recipe:
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
    assert ranges[0] is not None
    assert ranges[-1] is not None
    assert (ranges[0][0], ranges[-1][1]) == (0, 5)
    assert all(r is not None and r[0] < r[1] for r in ranges)


def test_outer_genes_act_outside_the_layers_only() -> None:
    recipe = decoded(space(outer_genes=True), (0.1, 0.9, 0.2, 0.8))
    assert weight(recipe, LEFT, "model.layers.1.mlp", 1) == 0.1
    assert weight(recipe, LEFT, "model.embed_tokens.weight", None) == 0.9


def test_weights_are_not_normalized_unless_the_user_says_so() -> None:
    assert decoded(space(method="ties"), initial_genome(space(method="ties").variables)).parameters == {
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
        ({"group_size": 5}, "space.group_size", "use at most 4"),
        ({"group_size": 2, "layer_groups": 2}, "space.group_size", "leave one of them out"),
        ({"filters": ("mlp", "mlp")}, "space.filters", "'mlp' stands there twice"),
        ({"filters": ("",)}, "space.filters", "an empty filter"),
        ({"method": "ties", "bounds": {"density": (0.5, 1.5)}}, "space.bounds.density", "use 0 to 1"),
        (
            {"method": "ties", "bounds": {"density": (0.5, 1.0)}, "fixed": {"density": 0.7}},
            "space.bounds.density",
            "density is fixed at 0.7",
        ),
        ({"method": "ties", "fixed": {"density": -0.5}}, "space.fixed.density", "use 0 to 1"),
        ({"methods": ("ties",)}, "space.methods", "at least two different methods"),
        ({"methods": ("ties", "tise")}, "space.methods", "did you mean 'ties'?"),
        ({"methods": ("ties", "linear"), "method": "ties"}, "space.method", "leave method or methods out"),
        ({"methods": ("ties", "linear"), "fixed": {"t": 1.0}}, "space.fixed.t", "parameter of these methods"),
        ({"frozen": {"weight of lefd*": 0.5}}, "space.frozen", "unknown gene 'weight of lefd*'"),
        ({"frozen": {"weight*": 0.5}}, "space.frozen", "no gene is left"),
        ({"frozen": {"weight of left*": 7.0}}, "space.frozen", "a number from 0 to 1.5"),
        ({"method": "passthrough", "search": ("scale",)}, "parents", "takes exactly 1 parent, got 2"),
        ({"method": "slerp"}, "parents", "got 3, the base counted; make one of the parents the base"),
        ({"method": "model_stock"}, "space.search", "choose another method"),
        ({"method": "opcm"}, "space.search", "search one of: alpha, lambda"),
    ],
)
def test_options_that_hold_no_recipe_are_refused(options: dict[str, Any], field: str, part: str) -> None:
    with pytest.raises(SpaceError) as caught:
        build_space(ParameterSpaceOptions(**options), POOL)
    assert caught.value.field == field
    assert part in str(caught.value)


def test_a_method_on_task_vectors_needs_a_base() -> None:
    with pytest.raises(SpaceError, match="needs a base model"):
        space(ParentPool((LEFT,), None, layers=4))


def test_groups_of_a_size_end_with_a_shorter_one() -> None:
    recipe = decoded(
        space(ParentPool((LEFT, RIGHT), BASE, layers=5), group_size=2), (0.1, 0.2, 0.3, 0.0, 0.0, 0.0)
    )
    assert [part.sources[0].layers for part in recipe.slices] == [(0, 2), (2, 4), (4, 5)]


def test_a_gene_says_which_method_merges() -> None:
    searched = build_space(ParameterSpaceOptions(methods=("ties", "linear", "karcher")), POOL)
    names = [variable.name for variable in searched.variables]
    assert names == [
        "method",
        *(
            f"{parameter} of {parent} (group 0)"
            for parameter in ("weight", "density")
            for parent in ("left", "right")
        ),
    ]
    recipe = searched.decode(("linear", 0.3, 0.4, 0.5, 0.6))
    assert isinstance(recipe, Recipe)
    assert recipe.method == "linear"
    assert weight(recipe, RIGHT, "x", 0) == 0.4
    assert searched.encode(recipe)[:3] == ("linear", 0.3, 0.4)
    again = searched.decode(("linear", 0.3, 0.4, 0.9, 0.9))
    assert isinstance(again, Recipe)
    assert again.digest == recipe.digest  # what another method reads changes nothing


def test_genes_of_other_ranges_are_genes_of_their_own() -> None:
    searched = build_space(
        ParameterSpaceOptions(methods=("ties", "nearswap"), search=("weight", "t"), fixed={"density": 0.5}),
        ParentPool((LEFT,), BASE, layers=4),
    )
    assert [variable.name for variable in searched.variables] == [
        "method",
        "weight of left (group 0)",
        "t (group 0)",
    ]


def test_any_of_the_methods_may_express_a_recipe() -> None:
    searched = build_space(ParameterSpaceOptions(methods=("ties", "task_arithmetic")), POOL)
    one = Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=RIGHT),)),))
    assert searched.encode(one)[:3] == ("ties", 0.0, 1.0)
    with pytest.raises(NotInSpaceError):
        searched.encode(decoded(space(method="dare_ties"), (0.1, 0.2, 0.3, 0.4)))


def test_frozen_genes_are_not_searched() -> None:
    frozen = build_space(ParameterSpaceOptions(layer_groups=2, frozen={"weight of left*": 0.5}), POOL)
    assert [variable.name for variable in frozen.variables] == [
        f"weight of right (group {i})" for i in (0, 1)
    ]
    recipe = frozen.decode((0.1, 0.9))
    assert isinstance(recipe, Recipe)
    assert weight(recipe, LEFT, "x", 0) == 0.5
    assert frozen.encode(recipe) == (0.1, 0.9)
    other = decoded(space(layer_groups=2), (0.4, 0.5, 0.1, 0.9))
    with pytest.raises(NotInSpaceError, match=r"weight of left \(group 0\)' is 0.4, and frozen"):
        frozen.encode(other)


def numbers_of(method: str) -> tuple[str, ...]:
    return tuple(p.name for p in METHODS[method].parameters if p.kind == "number")


@pytest.mark.parametrize("method", [name for name in sorted(METHODS) if numbers_of(name)])
def test_a_baseline_has_a_genome_in_every_methods_space_or_is_told_to_have_none(method: str) -> None:
    declared, numbers = METHODS[method], numbers_of(method)
    most = declared.most_parents or len(POOL.parents)
    parents = POOL.parents[: most - int(declared.base_is_a_parent)]
    pool = ParentPool(parents, BASE, layers=4)
    built = space(pool, method=method, search=numbers)
    sources = tuple(Source(parent=parent, parameters={"weight": constant(1.0)}) for parent in parents)
    average = Recipe(method="linear", slices=(Slice(sources=sources),))
    try:
        genome = built.encode(average)
    except NotInSpaceError as error:
        assert error.detail
    else:
        assert len(genome) == len(built.variables)


def test_seeds_are_genes_of_whole_numbers() -> None:
    built = space(method="svd_scaling", search=("weight", "svd_rate", "svd_seed"))
    genome = from_unit_cube(built.variables, [0.37] * len(built.variables))
    recipe = decoded(built, genome)
    (seed,) = recipe.slices[0].sources[0].parameters["svd_seed"]
    assert seed.value == genome[-2]
    assert isinstance(genome[-2], int)
    with pytest.raises(SpaceError, match="leave smooth out"):
        space(method="svd_scaling", search=("weight", "svd_seed"), smooth=True, layer_groups=2)
