"""Writes what a recipe says of its vocabulary, embeddings and chat template, as the reader reads it."""

from __future__ import annotations

from typing import Any

from search_spaces.errors import RecipeError
from search_spaces.recipes.chat_templates import built_in_name
from search_spaces.recipes.mergekit.tokenizer_reader import AUTO, BASE, UNION
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe
from search_spaces.recipes.token_rule import TokenRule

_WORDS = (BASE, UNION, AUTO)


def tokenizer_keys(recipe: Recipe, *, owner_is_base: bool) -> dict[str, Any]:
    """Returns the keys of a recipe's file; `owner_is_base` where base_model already names the owner.

    Raises:
        RecipeError: A parent's name means something else in mergekit.
    """
    content: dict[str, Any] = {}
    owner = None if owner_is_base else recipe.tokenizer
    if owner is not None and recipe.vocabulary is not None:
        raise RecipeError(
            "tokenizer", f"a union that begins with {owner}, the first of no list", "list it first"
        )
    source = UNION if recipe.vocabulary is not None else None
    if owner is not None:
        source = _name(owner, recipe.base, "tokenizer")
    if recipe.pad_to_multiple_of is not None or recipe.tokens:
        source = source or _name(recipe.tokenizer_owner, recipe.base, "tokenizer")
        content["tokenizer"] = {"source": source} | _details(recipe)
    elif source is not None:
        content["tokenizer_source"] = source
    if isinstance(recipe.chat_template, Parent):
        content["chat_template"] = _name(recipe.chat_template, recipe.base, "chat_template")
    elif recipe.chat_template is not None:
        content["chat_template"] = recipe.chat_template
    elif recipe.chat_template_text is not None:
        content["chat_template"] = built_in_name(recipe.chat_template_text) or recipe.chat_template_text
    return content | ({"untie_embeddings": True} if recipe.untie_embeddings else {})


def _details(recipe: Recipe) -> dict[str, Any]:
    """Returns what stands beside the source of a tokenizer."""
    content: dict[str, Any] = {}
    if recipe.tokens:
        content["tokens"] = {rule.token: _rule(rule) for rule in recipe.tokens}
    if recipe.pad_to_multiple_of is not None:
        content["pad_to_multiple_of"] = recipe.pad_to_multiple_of
    return content


def _rule(rule: TokenRule) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if rule.zero:
        content["source"] = {"kind": "zero"}
    elif rule.source is not None and (rule.source_token is not None or rule.source_id is not None):
        other = (
            {"token": rule.source_token} if rule.source_token is not None else {"token_id": rule.source_id}
        )
        content["source"] = {"kind": "model_token", "model": str(rule.source)} | other
    elif rule.source is not None:
        content["source"] = str(rule.source)
    return content | ({"force": True} if rule.force else {})


def _name(parent: Parent, base: Parent | None, field: str) -> str:
    name = str(parent)
    if name in _WORDS and not (name == BASE and parent == base):
        raise RecipeError(field, f"{name!r} is a word of mergekit's", f"give the folder as ./{name}")
    return name
