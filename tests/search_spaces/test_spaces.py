"""What every search space keeps to, over every merge method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces import (
    SPACES,
    Infeasible,
    Parent,
    ParentPool,
    Recipe,
    SearchSpace,
    SpaceDefinitionError,
    build_space,
)
from search_spaces.genome import Genome, Real, from_unit_cube, initial_genome, is_in_bounds, to_unit_cube
from search_spaces.mergekit_yaml import read_recipe, write_recipe
from search_spaces.methods import METHODS
from search_spaces.parameter_space import ParameterSpaceOptions
from search_spaces.settings import canonical_number

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
SPACES_UNDER_TEST = {f"{method}, {form}": (method, form) for method in SEARCHABLE for form in FORMS}


@pytest.fixture(params=SPACES_UNDER_TEST)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return space_of(*SPACES_UNDER_TEST[request.param])


def genomes(space: SearchSpace) -> st.SearchStrategy[Genome]:
    """Genomes in bounds, as exact as recipes keep them; the bounds themselves are frequent."""
    position = st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0])
    count = len(space.variables)
    return st.lists(position, min_size=count, max_size=count).map(
        lambda point: tuple(canonical_number(float(gene)) for gene in from_unit_cube(space.variables, point))
    )


def test_every_space_is_tested() -> None:
    assert SPACES.keys() == {"parameter"}


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
    assert space.encode(recipe) == genome
    written = read_recipe(write_recipe(recipe))
    assert written == recipe
    assert written.digest == recipe.digest


def test_the_first_genome_is_in_bounds_and_decodes(space: SearchSpace) -> None:
    genome = initial_genome(space.variables)
    assert is_in_bounds(space.variables, genome)
    assert isinstance(space.decode(genome), Recipe)
    assert from_unit_cube(space.variables, to_unit_cube(space.variables, genome)) == pytest.approx(genome)


def test_variables_have_names_of_their_own(space: SearchSpace) -> None:
    names = [variable.name for variable in space.variables]
    assert len(set(names)) == len(names)
    assert all(isinstance(variable, Real) for variable in space.variables)
