"""Whose chat template a merged model takes can be a gene of any space."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from search_spaces import (
    Infeasible,
    Parent,
    ParentPool,
    Recipe,
    SearchSpace,
    SpaceDefinitionError,
    SpaceOptions,
    build_space,
)
from search_spaces.errors import NotInSpaceError
from search_spaces.genome import Choice, initial_genome
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe

BASE = Parent(model="org/base")
LEFT, RIGHT = Parent(model="org/left"), Parent(model="org/right")
POOL = ParentPool((LEFT, RIGHT), BASE, layers=4)
KINDS: dict[str, dict[str, Any]] = {
    "parameter": {"method": "ties"},
    "methods": {"methods": ["ties", "dare_ties"]},
    "layer_stacking": {"kind": "layer_stacking"},
    "joint": {"kind": "joint"},
}


def space_of(chat_templates: Any, **options: Any) -> SearchSpace:
    said = TypeAdapter(SpaceOptions).validate_python({**options, "chat_templates": chat_templates})
    return build_space(said, POOL)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_gene_says_whose_template_the_recipe_has(kind: str) -> None:
    space = space_of([LEFT, RIGHT], **KINDS[kind])
    gene = space.variables[-1]
    assert isinstance(gene, Choice)
    assert (gene.name, gene.options) == ("chat_template", ("org/left", "org/right"))
    genome = initial_genome(space.variables)
    recipes = [space.decode((*genome[:-1], name)) for name in gene.options]
    for recipe, parent in zip(recipes, (LEFT, RIGHT), strict=True):
        assert isinstance(recipe, Recipe)
        owner = recipe.tokenizer_owner
        assert recipe.chat_template == (None if parent == owner else parent)
        again = space.decode(space.encode(recipe))
        assert isinstance(again, Recipe)
        assert again.digest == recipe.digest
        assert read_recipe(write_recipe(recipe)).digest == recipe.digest
    assert len({recipe.digest for recipe in recipes if not isinstance(recipe, Infeasible)}) == 2


def test_the_tokenizer_owners_own_template_is_the_recipe_without_the_gene() -> None:
    space, plain = space_of([BASE, LEFT], method="ties"), space_of([], method="ties")
    assert initial_genome(space.variables)[-1] == "org/base"
    assert space.decode(initial_genome(space.variables)) == plain.decode(initial_genome(plain.variables))
    assert [v.name for v in space_of("search", method="ties").variables][-1] == "chat_template"
    with pytest.raises(NotInSpaceError, match=r"its chat template is that of org/right; take that of one of"):
        space.encode(
            plain.decode(initial_genome(plain.variables)).model_copy(update={"chat_template": RIGHT})  # type: ignore[union-attr]
        )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([LEFT], "org/left is no choice"),
        ([LEFT, LEFT], "stands there twice"),
        ([LEFT, Parent(model="org/lefd")], "org/lefd is none of the models that are merged"),
    ],
)
def test_what_is_no_choice_is_refused(given: list[Parent], said: str) -> None:
    with pytest.raises(SpaceDefinitionError, match=said):
        space_of(given, method="ties")


def test_a_frozen_template_is_no_gene() -> None:
    space = space_of([LEFT, RIGHT], method="ties", frozen={"chat_template": "org/right"})
    assert "chat_template" not in [variable.name for variable in space.variables]
    recipe = space.decode(initial_genome(space.variables))
    assert isinstance(recipe, Recipe)
    assert recipe.chat_template == RIGHT
