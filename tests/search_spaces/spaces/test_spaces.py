"""What every search space keeps to, over every merge method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from search_spaces import (
    SPACES,
    Infeasible,
    ParameterSpace,
    Parent,
    ParentPool,
    Recipe,
    SearchSpace,
    SpaceDefinitionError,
    SpaceOptions,
    build_space,
)
from search_spaces.catalogue.methods import METHODS
from search_spaces.genome import Genome, Real, from_unit_cube, initial_genome, is_in_bounds, to_unit_cube
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.recipes.settings import canonical_number
from search_spaces.spaces.parameter_space import ParameterSpaceOptions

BASE = Parent(model="org/base")
PARENTS = tuple(Parent(model=f"org/{name}") for name in ("left", "right", "third"))
FORMS: Mapping[str, dict[str, Any]] = {
    "one group": {},
    "steps": {"layer_groups": 3},
    "smooth": {"layer_groups": 3, "smooth": True},
    "filters": {"layer_groups": 2, "filters": ("mlp", "self_attn"), "outer_genes": True},
    "every layer": {"layer_groups": 7, "smooth": True, "filters": ("mlp",), "outer_genes": True},
}


def space_of(method: str, form: str) -> SearchSpace:
    declared = METHODS[method]
    count = (declared.most_parents or 3) - int(declared.base_is_a_parent)
    pool = ParentPool(PARENTS[:count], BASE, layers=7)
    numbers = _numbers_of(method)
    search = {} if any(p.searched for p in declared.parameters) else {"search": numbers[:1]}
    return build_space(ParameterSpaceOptions(method=method, seed=5, **FORMS[form], **search), pool)


def _numbers_of(method: str) -> tuple[str, ...]:
    return tuple(p.name for p in METHODS[method].parameters if p.kind == "number")


SEARCHABLE = [method for method in sorted(METHODS) if _numbers_of(method)]
PARAMETER_SPACES = {f"{method}, {form}": (method, form) for method in SEARCHABLE for form in FORMS}
POOL = ParentPool(PARENTS, BASE, layers=7, parameters=1000, layer_parameters=100)
SMOOTH_TIES = ParameterSpace(
    ParameterSpaceOptions(method="ties", layer_groups=3, smooth=True, outer_genes=True), POOL
)
_MIXTURE = {"method": "ties", "layer_groups": 3, "filters": ["mlp"], "outer_genes": True}
_DEEP = {"max_layers": 60}
OTHER_SPACES: Mapping[str, dict[str, Any]] = {
    "slots": {"kind": "layer_stacking", **_DEEP},
    "slots, three rounds": {"kind": "layer_stacking", "repeats": 3, "begin": "published", "max_layers": 80},
    "slots without scales": {"kind": "layer_stacking", "scales": False, **_DEEP},
    "slots with free ends": {"kind": "layer_stacking", "fixed_ends": False, **_DEEP},
    "slots of two": {"kind": "layer_stacking", "layers_of": ["org/right", "org/left"], **_DEEP},
    "slots within a size": {"kind": "layer_stacking", "max_parameters": 1500},
    "spans": {"kind": "structured_stacking", **_DEEP},
    "spans with free ends": {"kind": "structured_stacking", "fixed_ends": False, "spans": 3, **_DEEP},
    "spans without scales": {"kind": "structured_stacking", "scales": False, **_DEEP},
    "spans of one parent": {"kind": "structured_stacking", "layers_of": ["org/left"], **_DEEP},
    "slots over a winner": {"kind": "layer_stacking", "winner": "TIES", "layers_of": ["org/third"], **_DEEP},
    "spans over a winner": {"kind": "structured_stacking", "winner": "TIES", "fixed_ends": False, **_DEEP},
    "joint with spans": {"kind": "joint", "parameter": _MIXTURE},
    "joint with slots": {
        "kind": "joint", "parameter": _MIXTURE, "stacking": {"kind": "layer_stacking", **_DEEP}
    },
    "joint, free ends": {
        "kind": "joint",
        "parameter": {"method": "task_arithmetic", "group_size": 3},
        "stacking": {"kind": "structured_stacking", "fixed_ends": False},
    },
    "joint of the mixture alone": {"kind": "joint", "parameter": _MIXTURE, "stack_parents": False},
    "methods": {"methods": ["ties", "dare_ties", "linear", "multislerp"], "layer_groups": 2},
    "frozen": {
        "method": "ties", "layer_groups": 2, "frozen": {"density of left*": 0.5, "* of third (group 1)": 1}
    },
    "frozen slots": {
        "kind": "layer_stacking", "frozen": {"log scale of*": 0.0, "take * (round 2)": -1}, **_DEEP
    },
    "groups of three": {"method": "ties", "group_size": 3},
    "mergekit-evolve, ties": {
        "kind": "mergekit_evolve", "method": "ties", "layer_granularity": 1, "filters": ["mlp"],
        "tokenizer_source": "base",
    },
    "mergekit-evolve, dare_ties": {
        "kind": "mergekit_evolve", "method": "dare_ties", "smooth": True, "layer_granularity": 1,
        "allow_negative_weights": True, "base_position": 1, "tokenizer_source": "union",
    },
    "mergekit-evolve, linear": {
        "kind": "mergekit_evolve", "method": "linear", "layer_granularity": 7, "base_position": 0,
        "random_init": True,
    },
    "mergekit-evolve, slerp": {
        "kind": "mergekit_evolve", "method": "slerp", "layer_granularity": 1, "base_position": 2
    },
    "seeds": {"method": "svd_scaling", "search": ["weight", "svd_rate", "svd_seed"], "layer_groups": 2},
}  # fmt: skip
OPTIONS: TypeAdapter[SpaceOptions] = TypeAdapter(SpaceOptions)


def other_space(name: str) -> SearchSpace:
    raw = dict(OTHER_SPACES[name])
    if raw.get("winner") == "TIES":
        found = SMOOTH_TIES.decode(
            tuple(0.1 + 0.05 * i for i in range(len(SMOOTH_TIES.variables) - 6)) + (0.4,) * 6
        )
        assert isinstance(found, Recipe)
        raw["winner"] = write_recipe(found)
    return build_space(OPTIONS.validate_python(raw), POOL)


@pytest.fixture(params=PARAMETER_SPACES)
def parameter_space(request: pytest.FixtureRequest) -> SearchSpace:
    return space_of(*PARAMETER_SPACES[request.param])


@pytest.fixture(params=[*PARAMETER_SPACES, *OTHER_SPACES])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    name = request.param
    return other_space(name) if name in OTHER_SPACES else space_of(*PARAMETER_SPACES[name])


def genomes(space: SearchSpace) -> st.SearchStrategy[Genome]:
    """Genomes in bounds, as exact as recipes keep them; the bounds themselves are frequent."""
    position = st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0])
    count = len(space.variables)
    return st.lists(position, min_size=count, max_size=count).map(
        lambda point: tuple(
            canonical_number(gene) if isinstance(gene, float) else gene
            for gene in from_unit_cube(space.variables, point)
        )
    )


def test_every_space_is_tested() -> None:
    kinds = {"parameter", *(raw.get("kind", "parameter") for raw in OTHER_SPACES.values())}
    assert SPACES.keys() == kinds


@pytest.mark.parametrize("parameter", ["normalize", "int8_mask"])
def test_switches_are_not_searched(parameter: str) -> None:
    pool = ParentPool(PARENTS, BASE, layers=7)
    with pytest.raises(SpaceDefinitionError, match="is a switch, and a search moves numbers"):
        build_space(ParameterSpaceOptions(method="ties", search=(parameter,)), pool)


def test_a_method_without_numbers_has_nothing_to_search() -> None:
    pool = ParentPool(PARENTS, BASE, layers=7)
    assert "model_stock" not in SEARCHABLE
    with pytest.raises(SpaceDefinitionError, match="no parameter is searched"):
        build_space(ParameterSpaceOptions(method="model_stock"), pool)
    with pytest.raises(SpaceDefinitionError, match="granularity is a choice"):
        build_space(ParameterSpaceOptions(method="model_stock", search=("granularity",)), pool)


@given(data=st.data())
@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
def test_every_genome_in_bounds_decodes_to_a_recipe_that_names_its_model(
    space: SearchSpace, data: st.DataObject
) -> None:
    genome = data.draw(genomes(space))
    assert is_in_bounds(space.variables, genome)
    recipe = space.decode(genome)
    if isinstance(recipe, Infeasible):
        assert recipe.reason
        return
    again = space.decode(genome)
    assert isinstance(again, Recipe)
    assert again.digest == recipe.digest
    encoded = space.encode(recipe)
    assert is_in_bounds(space.variables, encoded)
    found = space.decode(encoded)
    assert isinstance(found, Recipe)
    assert found.digest == recipe.digest
    written = read_recipe(write_recipe(recipe))
    assert written == recipe
    assert written.digest == recipe.digest


@given(data=st.data())
@settings(deadline=None, max_examples=3, suppress_health_check=list(HealthCheck))
def test_a_parameter_space_finds_the_very_genome_again(
    parameter_space: SearchSpace, data: st.DataObject
) -> None:
    genome = data.draw(genomes(parameter_space))
    recipe = parameter_space.decode(genome)
    assert isinstance(recipe, Infeasible) or parameter_space.encode(recipe) == genome
    assert all(isinstance(variable, Real) for variable in parameter_space.variables)


def test_the_first_genome_is_in_bounds_and_decodes(space: SearchSpace) -> None:
    genome = initial_genome(space.variables)
    assert is_in_bounds(space.variables, genome)
    assert isinstance(space.decode(genome), Recipe)
    again = from_unit_cube(space.variables, to_unit_cube(space.variables, genome))
    for one, two in zip(again, genome, strict=True):
        assert one == (pytest.approx(two) if isinstance(two, float) else two)


def test_variables_have_names_of_their_own(space: SearchSpace) -> None:
    names = [variable.name for variable in space.variables]
    assert len(set(names)) == len(names)
