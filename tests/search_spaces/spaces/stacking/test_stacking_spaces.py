"""Spaces of stacked layers: what the genes mean, where the search begins, what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import TypeAdapter

from search_spaces import (
    Infeasible,
    Parent,
    ParentPool,
    Recipe,
    SearchSpace,
    Slice,
    Source,
    SpaceOptions,
    build_space,
)
from search_spaces.errors import NotInSpaceError, SpaceError
from search_spaces.genome import Genome, initial_genome
from search_spaces.recipes.settings import Setting, constant
from search_spaces.spaces.stacking.layer_path import stacking_path

BASE, LEFT, RIGHT = (Parent(model=f"org/{name}") for name in ("base", "left", "right"))
POOL = ParentPool((LEFT, RIGHT), BASE, layers=4, parameters=500, layer_parameters=100)
KINDS = ("layer_stacking", "structured_stacking")
_OPTIONS: TypeAdapter[SpaceOptions] = TypeAdapter(SpaceOptions)


def space(kind: str, pool: ParentPool = POOL, **options: Any) -> SearchSpace:
    return build_space(_OPTIONS.validate_python({"kind": kind, **options}), pool)


def with_genes(searched: SearchSpace, **genes: float | str) -> Genome:
    """The genome where the search begins, with some genes changed; _ stands for a space in names."""
    wanted = {name.replace("_", " "): gene for name, gene in genes.items()}
    names = [variable.name for variable in searched.variables]
    assert set(wanted) <= set(names), names
    start = initial_genome(searched.variables)
    return tuple(wanted.get(name, gene) for name, gene in zip(names, start, strict=True))


def decoded(searched: SearchSpace, genome: Genome) -> Recipe:
    recipe = searched.decode(genome)
    assert isinstance(recipe, Recipe), recipe
    return recipe


def path(recipe: Recipe) -> list[tuple[str, int, float]]:
    return [
        ("+".join(p.model.removeprefix("org/") for p in step.parents), step.layer, step.scale)
        for step in stacking_path(recipe, POOL.layers)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fixed_ends", [True, False])
def test_the_search_begins_with_the_first_parent_as_it_is(kind: str, fixed_ends: bool) -> None:
    searched = space(kind, fixed_ends=fixed_ends)
    whole = Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=LEFT),)),))
    assert decoded(searched, initial_genome(searched.variables)).digest == whole.digest
    assert searched.encode(whole) == initial_genome(searched.variables)


def test_slots_lie_in_the_members_order_round_after_round() -> None:
    searched = space("layer_stacking")
    slots = [v.name for v in searched.variables if v.name.startswith("take")]
    assert len(slots) == 2 * 4 * 2 - 1  # T = M r, and the first is always taken
    assert slots[:4] == [
        *(f"take layer {i} of left (round 1)" for i in (1, 2, 3)),
        "take layer 0 of right (round 1)",
    ]
    assert slots[-1] == "take layer 3 of right (round 2)"
    assert len(searched.variables) == 15 + 15 + 1
    genome = with_genes(
        searched,
        **{
            "take_layer_2_of_left_(round_1)": -0.1,
            "take_layer_1_of_right_(round_1)": 0.1,
            "log_scale_of_layer_1_of_right_(round_1)": math.log(0.75),
            "take_layer_1_of_left_(round_2)": 1.0,
            "log_scale_of_the_last_layer": math.log(1.5),
        },
    )
    assert path(decoded(searched, genome)) == [
        ("left", 0, 1.0), ("left", 1, 1.0), ("right", 1, 0.75), ("left", 1, 1.0), ("left", 3, 1.5)
    ]  # fmt: skip


def test_spans_are_runs_of_one_members_layers() -> None:
    searched = space("structured_stacking", spans=2)
    genome = with_genes(
        searched,
        member_of_span_2="right",
        first_layer_of_span_2=2,
        length_of_span_2=4,
        log_scale_of_span_2=math.log(2),
    )
    assert path(decoded(searched, genome)) == [
        *(("left", layer, 1.0) for layer in (0, 1, 2)), ("right", 2, 2.0), ("right", 3, 1.0), ("left", 3, 1.0)
    ]  # fmt: skip


def test_embeddings_and_head_are_the_first_parents_whichever_layers_stand_beside_them() -> None:
    searched = space("structured_stacking", fixed_ends=False, spans=1)
    recipe = decoded(
        searched,
        with_genes(searched, member_of_span_1="right", length_of_span_1=3, log_scale_of_span_1=math.log(2)),
    )
    assert path(recipe) == [("right", 0, 1.0), ("right", 1, 1.0), ("right", 2, 1.0)]
    assert [part.sources[0].parent for part in recipe.slices] == [LEFT, RIGHT, LEFT]
    assert [part.has_layers for part in recipe.slices] == [False, True, False]


@pytest.mark.parametrize(
    ("options", "changes", "part"),
    [
        ({"max_layers": 4}, {"length_of_span_2": 2}, "6 layers, and at most 4 are allowed"),
        ({}, {"length_of_span_2": 4, "length_of_span_3": 3}, "11 layers, and at most 8"),
        ({"max_parameters": 650}, {"length_of_span_2": 2}, "700 parameters, and at most 650"),
        ({"fixed_ends": False}, {"length_of_span_1": 0}, "no layer is taken"),
        (
            {"scale_bounds": (0.01, 2.0)},
            {"log_scale_of_span_1": -4.6, "log_scale_of_the_last_layer": -0.5},
            "the scales multiply to 0.0061",
        ),
    ],
)
def test_what_breaks_a_limit_is_infeasible_and_says_why(
    options: dict[str, Any], changes: dict[str, Any], part: str
) -> None:
    searched = space("structured_stacking", **options)
    found = searched.decode(with_genes(searched, **changes))
    assert isinstance(found, Infeasible)
    assert part in found.reason


@pytest.mark.parametrize(
    ("kind", "options", "field", "part"),
    [
        ("layer_stacking", {"scale_bounds": (2.0, 0.5)}, "space.scale_bounds", "holds no scales"),
        ("layer_stacking", {"scale_bounds": (0.0, 0.5)}, "space.scale_bounds", "both above 0"),
        ("layer_stacking", {"scale_bounds": (1.5, 2.0)}, "space.scale_bounds", "does not hold 1"),
        ("layer_stacking", {"layers_of": ["org/other"]}, "space.layers_of", "org/other is no parent"),
        ("layer_stacking", {"layers_of": ["org/left", "org/left"]}, "space.layers_of", "twice"),
        ("structured_stacking", {"max_layers": 3}, "space.max_layers", "allow at least 4"),
        ("structured_stacking", {"max_parameters": 499}, "space.max_parameters", "allow at least 500"),
        ("structured_stacking", {"frozen": {"lenght*": 1}}, "space.frozen", "unknown gene"),
        ("structured_stacking", {"frozen": {"length*": 9}}, "space.frozen", "a whole number from 0 to 4"),
        ("structured_stacking", {"frozen": {"member*": "third"}}, "space.frozen", "one of: left, right"),
        ("structured_stacking", {"frozen": {"*span*": 0}}, "space.frozen", "cannot be 0"),
        ("layer_stacking", {"frozen": {"take*": 0.5, "*left (round 2)": 0}}, "space.frozen", "named twice"),
        ("layer_stacking", {"scales": False, "frozen": {"*": 0.5}}, "space.frozen", "no gene is left"),
        ("joint", {"parameter": {"smooth": True}}, "space.parameter.smooth", "without smooth"),
        ("joint", {"parameter": {"dtype": "bfloat16"}}, "space.parameter.dtype", "space.dtype"),
        (
            "joint",
            {"parameter": {"methods": ["ties", "linear"]}},
            "space.parameter.methods",
            "name one method",
        ),
        (
            "joint",
            {"stacking": {"kind": "layer_stacking", "layers_of": ["org/left"]}, "stack_parents": False},
            "space.stacking.layers_of",
            "leave one of the two out",
        ),
    ],
)
def test_options_that_hold_no_stack_are_refused(
    kind: str, options: dict[str, Any], field: str, part: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        space(kind, **options)
    assert caught.value.field == field
    assert part in str(caught.value)


def test_a_search_that_begins_as_published_may_take_every_slot() -> None:
    searched = space("layer_stacking", begin="published", repeats=3, scales=False)
    every = decoded(searched, (1.0,) * len(searched.variables))
    assert len(path(every)) == 3 * 8 + 1
    limited = space("layer_stacking", repeats=3, scales=False)
    assert isinstance(limited.decode((1.0,) * len(limited.variables)), Infeasible)


def test_a_size_can_only_be_limited_where_it_is_known() -> None:
    with pytest.raises(SpaceError, match="the parents' sizes are not known"):
        space("layer_stacking", ParentPool((LEFT, RIGHT), BASE, layers=4), max_parameters=10**9)


def stack(*places: tuple[Parent, int, int, float]) -> Recipe:
    slices = tuple(
        Slice(sources=(Source(parent=parent, layers=(start, end)),), input_scale=scale)
        for parent, start, end, scale in places
    )
    return Recipe(method="passthrough", slices=slices)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("recipe", "part"),
    [
        (stack((RIGHT, 0, 4, 1.0)), "its embeddings or its head are not those of left"),
        (stack((LEFT, 0, 2, 1.0), (RIGHT, 2, 3, 9.0), (LEFT, 3, 4, 1.0)), "widen space.scale_bounds"),
        (
            stack((LEFT, 0, 2, 1.0), (Parent(model="org/x"), 0, 1, 1.0), (LEFT, 3, 4, 1.0)),
            "no parent here has",
        ),
        (stack((LEFT, 1, 4, 1.0)), "set space.fixed_ends: false"),
        (stack(*[(LEFT, 0, 1, 1.0)] * 9, (LEFT, 3, 4, 1.0)), "raise space."),
    ],
)
def test_a_stack_that_the_space_cannot_express_is_refused(kind: str, recipe: Recipe, part: str) -> None:
    with pytest.raises(NotInSpaceError) as caught:
        space(kind).encode(recipe)
    assert part in str(caught.value)


def winner(**parameters: Any) -> Recipe:
    """What a search in parameter space may have found: a gradient over the layers."""
    weights = {LEFT: (Setting(value=(0.2, 0.8)),), RIGHT: constant(0.5)}
    sources = tuple(Source(parent=p, parameters={"weight": w}) for p, w in weights.items())
    return Recipe(method="ties", slices=(Slice(sources=sources),), base=BASE, parameters=parameters)


def test_a_winner_comes_first_in_the_pool_and_children_stay_flat() -> None:
    found = winner(density=(Setting(value=(0.5, 1.0)),))
    searched = space("structured_stacking", winner=found, layers_of=["org/right"], spans=2)
    assert decoded(searched, initial_genome(searched.variables)).digest == found.digest
    recipe = decoded(searched, with_genes(searched, first_layer_of_span_2=1, length_of_span_2=1))
    assert path(recipe) == [
        *(("left+right", layer, 1.0) for layer in (0, 1, 2)), ("right", 1, 1.0), ("left+right", 3, 1.0)
    ]  # fmt: skip
    assert recipe.method == "ties"
    assert [part.method for part in recipe.slices[:5]] == [None, None, None, "passthrough", None]
    weights = [part.sources[0].parameters["weight"][0].value for part in recipe.slices[:3]]
    assert weights == pytest.approx([0.2, 0.4, 0.6])
    assert searched.encode(recipe) == searched.encode(decoded(searched, searched.encode(recipe)))
    # The head is the winner's, though its layer is not the one whose numbers the winner's head has.
    head = recipe.slices[-1]
    assert (head.has_layers, head.sources[0].parameters["weight"]) == (False, constant(0.2))


def test_a_winner_must_be_made_of_the_parents_and_have_no_scales() -> None:
    with pytest.raises(SpaceError, match="org/left, which is no parent here"):
        space("layer_stacking", ParentPool((RIGHT,), BASE, layers=4), winner=winner())
    scaled = stack((LEFT, 0, 2, 1.0), (LEFT, 2, 4, 0.5))
    with pytest.raises(SpaceError, match="scaled already"):
        space("layer_stacking", winner=scaled)


def test_a_joint_genome_mixes_first_and_stacks_then() -> None:
    searched = space(
        "joint", parameter={"layer_groups": 2}, stacking={"kind": "layer_stacking", "scales": False}
    )
    genome = with_genes(
        searched,
        **{
            "weight_of_left_(group_0)": 0.9,
            "weight_of_right_(group_1)": 0.1,
            "take_layer_2_of_right_(round_1)": 1.0,
            "take_layer_1_of_merged_(round_2)": 1.0,
        },
    )
    recipe = decoded(searched, genome)
    mixed = [("left+right", layer, 1.0) for layer in (0, 1, 2)]
    assert path(recipe) == [*mixed, ("right", 2, 1.0), ("left+right", 1, 1.0), ("left+right", 3, 1.0)]
    assert recipe.base == BASE
    assert recipe.slices[0].sources[0].parameters["weight"] == constant(0.9)
    assert searched.decode(searched.encode(recipe)) == recipe


@pytest.mark.parametrize("kind", ["parameter", *KINDS, "joint"])
def test_options_mean_the_same_when_they_were_stored(kind: str) -> None:
    """Stored specs say every option, also those that were left out."""
    extra: dict[str, dict[str, Any]] = {
        "parameter": {"methods": ["ties", "linear"]},
        "layer_stacking": {"winner": json.loads(winner().canonical_json())},
    }
    options = _OPTIONS.validate_python({"kind": kind, **extra.get(kind, {})})
    stored = _OPTIONS.validate_json(_OPTIONS.dump_json(options))
    assert stored == options
    searched = build_space(stored, POOL)
    assert searched.variables == build_space(options, POOL).variables


def test_a_recipe_of_the_parameter_space_is_in_the_joint_space() -> None:
    parameter = space("parameter", method="ties", layer_groups=2)
    recipe = decoded(parameter, initial_genome(parameter.variables))
    joint = space("joint", parameter={"method": "ties", "layer_groups": 2})
    assert decoded(joint, initial_genome(joint.variables)).digest == recipe.digest
    assert joint.encode(recipe) == initial_genome(joint.variables)
    one = Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=LEFT),)),))
    assert isinstance(joint.decode(joint.encode(one)), Recipe)
