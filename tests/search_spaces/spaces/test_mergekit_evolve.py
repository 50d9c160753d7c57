"""mergekit-evolve's genotypes give mergekit's recipes: those of 0.1.5, recorded once."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from search_spaces import MergekitEvolveOptions, Parent, ParentPool, Recipe, SearchSpace, build_space
from search_spaces.errors import SpaceError
from search_spaces.genome import initial_genome, is_in_bounds
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from search_spaces.spaces.space import Infeasible
from tests.search_spaces.spaces.genotypes import (
    CASES,
    DIGITS,
    LAYERS,
    RECORDED,
    digest,
    genotype,
    normal_of_mergekit,
    normal_of_recipe,
)

EXPECTED: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text())


def space_of(said: dict[str, Any], layers: int = LAYERS) -> SearchSpace:
    """Returns the space of a file's `genome:`."""
    content = dict(said)
    models = [Parent.model_validate(model) for model in content.pop("models")]
    given = content.pop("base_model", None)
    base = None if given is None else Parent.model_validate(given)
    content["base_position"] = models.index(base) if base in models else None
    options = MergekitEvolveOptions(method=content.pop("merge_method"), **content)
    return build_space(options, ParentPool(tuple(m for m in models if m != base), base, layers))


@pytest.mark.parametrize("case", CASES)
def test_every_genotype_gives_mergekits_recipe(case: str) -> None:
    count, said = CASES[case]
    space, digests = space_of(dict(said)), EXPECTED[case]["digests"]
    for number in range(count):
        recipe = space.decode(tuple(genotype(case, number, len(space.variables))))
        assert isinstance(recipe, Recipe)
        expected = digests[number * DIGITS : (number + 1) * DIGITS]
        assert digest(normal_of_recipe(recipe.model_dump(mode="json"))) == expected, number


def test_a_thousand_genotypes_of_every_method_are_compared() -> None:
    counts: dict[str, int] = {}
    for case, (count, said) in CASES.items():
        counts[said["merge_method"]] = counts.get(said["merge_method"], 0) + count
        assert len(EXPECTED[case]["digests"]) == count * DIGITS
    assert counts == dict.fromkeys(("linear", "task_arithmetic", "ties", "dare_ties", "slerp"), 1000)


@pytest.mark.parametrize("case", CASES)
def test_our_text_of_a_recipe_says_what_mergekits_says(case: str) -> None:
    space = space_of(dict(CASES[case][1]))
    recipe = space.decode(tuple(genotype(case, 0, len(space.variables))))
    assert isinstance(recipe, Recipe)
    ours, theirs = yaml.safe_load(write_recipe(recipe)), yaml.safe_load(EXPECTED[case]["example"])
    wanted = normal_of_mergekit(theirs)
    assert normal_of_recipe(recipe.model_dump(mode="json")) == wanted
    found = normal_of_mergekit({"parameters": {}} | ours | {"tokenizer_source": None})
    assert [part["sources"] for part in found["slices"]] == [part["sources"] for part in wanted["slices"]]
    assert found["dtype"] == "bfloat16"


@pytest.mark.parametrize("case", CASES)
def test_the_search_begins_where_mergekits_does(case: str) -> None:
    space = space_of(dict(CASES[case][1]))
    assert initial_genome(space.variables) == pytest.approx(EXPECTED[case]["start"])


def test_a_random_beginning_depends_on_the_seed_alone() -> None:
    said = dict(CASES["ties, filters"][1]) | {"random_init": True}
    first, again, other = (initial_genome(space_of(said | {"seed": seed}).variables) for seed in (3, 3, 4))
    assert first == again != other
    assert all(0 <= float(gene) < 1 for gene in first)


def test_the_bases_own_genes_change_nothing_where_task_vectors_are_added() -> None:
    space = space_of(dict(CASES["dare_ties, base listed"][1]))
    genome = list(initial_genome(space.variables))
    one = space.decode(tuple(genome))
    for place, variable in enumerate(space.variables):
        if "of base" in variable.name:
            genome[place] = 2.5
    assert space.decode(tuple(genome)) == one


def test_a_parent_and_the_average_are_found_in_the_space() -> None:
    space = space_of(dict(CASES["task_arithmetic, steps"][1]))
    average = space.decode(tuple(1 / 3 for _ in space.variables))
    assert isinstance(average, Recipe)
    genome = space.encode(average)
    assert is_in_bounds(space.variables, genome)
    assert space.decode(genome) == average


@pytest.mark.parametrize(
    ("changed", "field", "remedy"),
    [
        ({"layer_granularity": 3}, "space.layer_granularity", "use one of: 1, 2, 4, 8"),
        ({"tokenizer_source": "org/other"}, "space.tokenizer_source", "name one of them"),
        ({"filters": ["mlp", "mlp"]}, "space.filters", "once"),
        ({"merge_method": "slerp"}, "base", "leave it out"),
        ({"merge_method": "slerp", "base_model": None, "smooth": True}, "space.smooth", "another method"),
        ({"merge_method": "linear"}, "base", "list it among the models"),
        ({"base_model": None}, "base", "common ancestor"),
        ({"merge_method": "linear", "base_model": None, "tokenizer_source": "base"}, "space.tokenizer_source",
         "union"),
    ],
)  # fmt: skip
def test_what_mergekit_fails_at_during_the_run_is_refused_before(
    changed: dict[str, Any], field: str, remedy: str
) -> None:
    said = {"models": ["org/left", "org/right"], "merge_method": "ties", "base_model": "org/base", **changed}
    with pytest.raises(SpaceError) as caught:
        space_of({key: value for key, value in said.items() if value is not None})
    assert caught.value.field == field
    assert remedy in caught.value.remedy


def test_weights_that_add_up_to_nothing_are_no_average() -> None:
    space = space_of({"models": ["org/a", "org/b"], "merge_method": "linear", "allow_negative_weights": True})
    assert isinstance(space.decode((1.0, -1.0)), Infeasible)
    assert isinstance(space.decode((1.0, -0.5)), Recipe)
