"""Whose tokenizers make prompts: the merged model's, and the parents'.  No weights are read."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.lm_eval.prompt_facts import Asked
from search_spaces import Parent, Recipe
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.compatibility.instruction_names import follows_instructions
from workers.runtime.loaded_tokenizer import load_tokenizer, with_template
from workers.tokenizers.files import replaced_template
from workers.tokenizers.sight import sight_for


def asked_models(merged: Recipe | None, parents: Sequence[Parent]) -> Asked:
    """Returns the merged model first, called as the parent that gives its tokenizer, then the parents.

    Raises:
        WorkerError: A tokenizer cannot be loaded.
    """
    if merged is None:
        return Asked()
    everyone = dict.fromkeys((*merged.all_parents, merged.tokenizer_owner, *parents))
    layouts = {parent: inspect_parent(parent) for parent in everyone}
    tokenizers = {parent: load_tokenizer(layouts[parent]) for parent in (merged.tokenizer_owner, *parents)}
    own = with_template(tokenizers[merged.tokenizer_owner], replaced_template(merged, layouts))
    return Asked(
        (str(merged.tokenizer_owner), *map(str, parents)),
        (own, *(tokenizers[parent] for parent in parents)),
        sights=tuple(
            sight_for(layouts[parent].folder, layouts[parent].config)
            for parent in (merged.tokenizer_owner, *parents)
        ),
        instruct=any(map(follows_instructions, layouts.values())),
    )
