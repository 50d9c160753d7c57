"""Whose tokenizers make prompts: the merged model's, and the parents'.  No weights are read."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.lm_eval.prompt_facts import MERGED, Asked
from search_spaces import Parent, Recipe
from search_spaces.spaces.template_choice import with_chat_template
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.compatibility.instruction_names import follows_instructions
from workers.runtime.loaded_tokenizer import load_tokenizer, with_template
from workers.tokenizers.files import replaced_template
from workers.tokenizers.sight import sight_for


def asked_model(model: Parent | None) -> Asked:
    """Returns a model that is asked as it is; none where none is given.

    Raises:
        WorkerError: Its tokenizer cannot be loaded.
    """
    if model is None:
        return Asked()
    layout = inspect_parent(model)
    return Asked(
        (str(model),),
        (load_tokenizer(layout),),
        sights=(sight_for(layout.folder, layout.config),),
        instruct=follows_instructions(layout),
    )


def asked_models(merged: Recipe | None, parents: Sequence[Parent], templates: Sequence[Parent] = ()) -> Asked:
    """Returns the merged model first, then the parents.

    It is called as the parent that gives its tokenizer, if it has that parent's chat template, too.

    Args:
        merged: A recipe as the search makes them.
        parents: Models that are asked as they are.
        templates: Those whose chat templates merged models may have.

    Raises:
        WorkerError: A tokenizer cannot be loaded.
    """
    if merged is None:
        return Asked()
    everyone = dict.fromkeys((*merged.all_parents, merged.tokenizer_owner, *parents))
    layouts = {parent: inspect_parent(parent) for parent in everyone}
    tokenizers = {parent: load_tokenizer(layouts[parent]) for parent in (merged.tokenizer_owner, *parents)}
    bare = tokenizers[merged.tokenizer_owner]
    replaced = replaced_template(merged, layouts)
    own = with_template(bare, replaced)
    recipes = {str(parent): with_chat_template(merged, parent) for parent in templates}
    return Asked(
        (str(merged.tokenizer_owner) if replaced is None else MERGED, *map(str, parents)),
        (own, *(tokenizers[parent] for parent in parents)),
        sights=tuple(
            sight_for(layouts[parent].folder, layouts[parent].config)
            for parent in (merged.tokenizer_owner, *parents)
        ),
        instruct=any(map(follows_instructions, layouts.values())),
        chosen={
            name: with_template(bare, replaced_template(recipe, layouts)) for name, recipe in recipes.items()
        },
    )
