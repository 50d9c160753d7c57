"""What base_model means to each kind of method, and that it survives being written and read."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.errors import RecipeFileError
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.recipes.settings import constant

A, B, C = (Parent(model=name) for name in "abc")
WEIGHTS = "{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 2}}"


def parents_of(recipe: Recipe) -> list[Parent]:
    return [source.parent for source in recipe.slices[0].sources]


def written_again(text: str) -> Recipe:
    recipe = read_recipe(text)
    assert read_recipe(write_recipe(recipe)) == recipe
    return recipe


@pytest.mark.parametrize("method", ["nuslerp", "multislerp"])
def test_an_arc_around_a_base_does_not_count_it_as_a_parent_listed_or_not(method: str) -> None:
    plain = written_again(f"merge_method: {method}\nbase_model: c\nmodels: [{WEIGHTS}]\n")
    listed = written_again(f"merge_method: {method}\nbase_model: c\nmodels: [{WEIGHTS}, {{model: c}}]\n")
    assert plain == listed
    assert plain.base == C
    assert parents_of(plain) == [A, B]


@pytest.mark.parametrize("method", ["nuslerp", "multislerp"])
def test_an_arc_without_a_base_keeps_none_when_written(method: str) -> None:
    text = f"merge_method: {method}\nmodels: [{WEIGHTS}]\n"
    recipe = written_again(text)
    assert recipe.base is None
    with_tokenizer = written_again(f"{text}tokenizer_source: a\n")
    assert with_tokenizer.base is None
    assert "base_model" not in yaml.safe_load(write_recipe(with_tokenizer))


def test_the_base_of_an_arc_is_not_one_of_its_two_ends() -> None:
    with pytest.raises(RecipeFileError, match="takes exactly 2 parents, got 1"):
        read_recipe(f"merge_method: nuslerp\nbase_model: a\nmodels: [{WEIGHTS}]\n")
    part = Slice(sources=tuple(Source(parent=p, parameters={"weight": constant(1.0)}) for p in (A, B)))
    with pytest.raises(ValidationError, match="takes exactly 2 parents, got 1"):
        Recipe(method="nuslerp", slices=(part,), base=B)


def test_the_two_arcs_with_and_without_a_base_are_two_recipes() -> None:
    texts = (f"merge_method: nuslerp\n{base}models: [{WEIGHTS}]\n" for base in ("", "base_model: c\n"))
    without, around = (read_recipe(text).digest for text in texts)
    assert without != around


def test_an_unlisted_base_is_one_more_model_where_mergekit_counts_it_as_one() -> None:
    karcher = written_again("merge_method: karcher\nbase_model: c\nmodels: [{model: a}, {model: b}]\n")
    assert parents_of(karcher) == [A, B, C]
    assert karcher.tokenizer_owner == C
    linear = written_again(
        "merge_method: linear\nbase_model: c\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 0.5}\n"
    )
    assert parents_of(linear) == [A, B, C]


def test_an_unlisted_base_without_a_weight_is_refused_by_an_average() -> None:
    with pytest.raises(RecipeFileError, match="c is not among its models; list it"):
        read_recipe(f"merge_method: linear\nbase_model: c\nmodels: [{WEIGHTS}]\n")


def test_a_listed_base_of_an_average_is_counted_once() -> None:
    recipe = written_again("merge_method: karcher\nbase_model: b\nmodels: [{model: a}, {model: b}]\n")
    assert parents_of(recipe) == [A, B]


@pytest.mark.parametrize("method", ["nearswap", "arcee_fusion"])
def test_a_method_of_base_and_one_parent_takes_them_in_any_order(method: str) -> None:
    extra = "parameters: {t: 0.001}\n" if method == "nearswap" else ""
    texts = [
        f"merge_method: {method}\nbase_model: a\nmodels: [{models}]\n{extra}"
        for models in ("{model: a}, {model: b}", "{model: b}, {model: a}", "{model: b}")
    ]
    recipes = [written_again(text) for text in texts]
    assert len({recipe.digest for recipe in recipes}) == 1
    assert parents_of(recipes[0]) == [B]
    with pytest.raises(RecipeFileError, match="takes exactly 1 parent, got 2"):
        read_recipe(texts[0].replace("{model: a},", "{model: c},"))


def test_a_slice_of_an_arc_lists_the_base_as_mergekit_wants() -> None:
    sources = tuple(Source(parent=p, layers=(0, 2), parameters={"weight": constant(1.0)}) for p in (A, B))
    recipe = Recipe(method="multislerp", slices=(Slice(sources=sources),), base=C)
    (part,) = yaml.safe_load(write_recipe(recipe))["slices"]
    assert [source["model"] for source in part["sources"]] == ["a", "b", "c"]
    assert read_recipe(write_recipe(recipe)) == recipe


def test_words_and_switches_say_the_same_of_a_granularity_and_both_survive() -> None:
    base = "merge_method: model_stock\nbase_model: c\nmodels: [{model: a}, {model: b}]\n"
    for extra in ("parameters: {granularity: row}\n", "parameters: {filter_wise: true, clamp: true}\n"):
        written_again(base + extra)
    with pytest.raises(RecipeFileError, match="use one of: row, tensor"):
        read_recipe(base + "parameters: {granularity: channel}\n")
