"""Adapters of models whose output embeddings are their input embeddings.  Torch-free.

peft adapts modules, not tensors: factors on `embed_tokens` leave what the head reads as it was, and those on
`lm_head` the embeddings.  So the adapted model needs a head of its own, unless the adapter says that both
follow each other (`ensure_weight_tying`, or rows trained alone in the embeddings only).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workers.checkpoints.layout import Layout, text_config
from workers.checkpoints.peft_format.adapter_keys import AdapterKeys
from workers.errors import CheckpointError

HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")


def is_tied(layout: Layout) -> bool:
    """Says whether a configuration, or the lack of a stored head, makes the two one tensor."""
    default = text_config(layout).get("tie_word_embeddings")
    no_head = not any(name.endswith(HEADS) for name in layout.tensors)
    return bool(layout.config.get("tie_word_embeddings", default if default is not None else no_head))


def follows_embeddings(config: Mapping[str, Any]) -> bool:
    """Says whether the adapter keeps the two tied, so that what it holds for the head is a copy."""
    return bool(config.get("ensure_weight_tying"))


def needs_own_head(keys: AdapterKeys, config: Mapping[str, Any]) -> bool:
    """Says whether an adapter makes a tied model's two embeddings differ."""
    if follows_embeddings(config):
        return False
    changed = {f"{module}.weight" for module in keys.modules} | set(keys.wholes)
    rows = {f"{module}.weight" for module in keys.rows}
    heads = any(name.endswith(HEADS) for name in changed | rows)
    return heads or any(name.endswith(EMBEDDINGS) for name in changed)


def with_own_head(layout: Layout) -> Layout:
    """Returns the layout with a head of its own: the one that is stored, or what the embeddings hold.

    Raises:
        CheckpointError: The model has no input embeddings that are known, or reads a head of its own
            otherwise than a tied one.
    """
    source = next((name for name in layout.tensors if name.endswith(EMBEDDINGS)), None)
    if source is None or layout.config.get("is_encoder_decoder"):
        detail = "ties its output to its input embeddings, and the adapter makes the two differ"
        raise CheckpointError(str(layout.parent), detail, "untie the model first, and train again")
    entry = layout.tensors[source]
    own = replace(entry, stored_as=entry.stored_as or source)
    config = {**layout.config, "tie_word_embeddings": False}
    if isinstance(config.get("text_config"), Mapping):
        config["text_config"] = {**config["text_config"], "tie_word_embeddings": False}
    stored = any(name.endswith(HEADS) for name in layout.tensors)
    heads = {} if stored else {head_beside(source): own}
    return replace(layout, config=config, tensors={**layout.tensors, **heads})


def with_head_alike(layout: Layout, before: Layout) -> Layout:
    """Returns the layout with a stored head changed as the embeddings were: the two are one tensor.

    Args:
        layout: With an adapter's changes.
        before: Without them.
    """
    changed = dict(layout.tensors)
    source = next((name for name in changed if name.endswith(EMBEDDINGS)), None)
    if source is None or changed[source] == before.tensors[source]:
        return layout
    entry = changed[source]
    replaced = replace(entry, change=None) != replace(before.tensors[source], change=None)
    for name in filter(lambda name: name.endswith(HEADS), layout.tensors):
        own = replace(entry, stored_as=entry.stored_as or source)
        changed[name] = own if replaced else replace(changed[name], change=entry.change)
    return replace(layout, tensors=changed)


def head_beside(embeddings: str) -> str:
    """Returns the name of the head that goes with embeddings of this name."""
    if embeddings.endswith("embed_in.weight"):
        return "embed_out.weight"
    outside = "language_model." if embeddings.startswith("language_model.") else ""
    return f"{outside}lm_head.weight"
