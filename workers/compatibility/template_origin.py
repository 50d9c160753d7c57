"""Whose chat template a merged model takes, and what should be known of it.  Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from search_spaces import Parent, Recipe
from search_spaces.recipes.template_check import mistake_in
from workers.checkpoints.layout import Layout
from workers.compatibility.parent_concerns import Concern
from workers.tokenizers.files import chat_template_of, replaced_template


def template_origin(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> str:
    """Returns whose chat template the merged model takes, in a few words.

    Raises:
        MismatchError: The model that is to give it has none.
    """
    if recipe.chat_template_text is not None:
        return "the recipe's own chat template"
    text = _text(recipe, layouts)
    if text is None:
        return "no chat template"
    owners = (recipe.chat_template, recipe.tokenizer_owner, *recipe.merged_parents)
    known = [owner for owner in owners if isinstance(owner, Parent)]
    return f"the chat template of {next(p for p in known if chat_template_of(layouts[p].folder) == text)}"


def template_concerns(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> Iterator[Concern]:
    """Yields a template that cannot be read, and parents' templates that the recipe leaves unsaid.

    Raises:
        MismatchError: The model that is to give it has none.
    """
    text = _text(recipe, layouts)
    if text is not None and (mistake := mistake_in(text)) is not None:
        detail = f"{template_origin(recipe, layouts)} is no template: {mistake}"
        yield Concern("chat_template", detail, "mend it, or name another one")
    silent = recipe.chat_template is None and recipe.chat_template_text is None
    found = {
        (chat_template_of(layouts[p].folder) or "").strip() for p in recipe.merged_parents if p in layouts
    }
    if silent and len(found - {""}) > 1:
        detail = f"the parents' differ; the merged model takes {template_origin(recipe, layouts)}"
        yield Concern("chat_template", detail, "name the model whose template is meant")


def _text(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> str | None:
    replaced = replaced_template(recipe, layouts)
    return chat_template_of(layouts[recipe.tokenizer_owner].folder) if replaced is None else replaced
