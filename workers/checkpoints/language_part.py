"""The language model inside a multimodal model: it alone is merged.

A checkpoint with a `text_config` holds a language model under a prefix of its own.  Parents that are
such and parents that only read are renamed to match the tokenizer's owner: either the language part is
taken out of the larger models, or text models are shown under the larger model's names.  Whatever else
the owner has (its eyes) is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from search_spaces import Parent
from workers.checkpoints.inspection import EMBEDDINGS, HEADS
from workers.checkpoints.layout import Layout
from workers.errors import MismatchError

_Names = dict[Parent, dict[str, str]]


def is_multimodal(layout: Layout) -> bool:
    """Says whether a checkpoint holds more than a language model."""
    return isinstance(layout.config.get("text_config"), Mapping)


def with_one_kind(layouts: Mapping[Parent, Layout], owner: Parent) -> tuple[dict[Parent, Layout], _Names]:
    """Returns the layouts under the owner's names, and what each new name is called in its checkpoint.

    Raises:
        MismatchError: The language part of a parent cannot be found.
    """
    if not any(is_multimodal(layout) for layout in layouts.values()):
        return dict(layouts), {}
    found, names = dict(layouts), {}
    for parent, layout in layouts.items():
        if not is_multimodal(layouts[owner]):
            if is_multimodal(layout):
                found[parent], names[parent] = _taken_out(layout, layouts[owner])
        elif is_multimodal(layout):
            found[parent] = _only_language_mixed(layout)
        else:
            found[parent], names[parent] = _put_in(layout, layouts[owner])
    return found, names


def language_names(layout: Layout) -> dict[str, str]:
    """Returns the language part's tensors: name -> role, a name that text models share.

    Roles are `layers.0...` inside the layers, `head`, and what follows the prefix elsewhere
    (`embed_tokens.weight`, `norm.weight`).

    Raises:
        MismatchError: No embeddings stand beside the layers.
    """
    prefix = _outer_prefix(layout)
    found = {}
    for name in layout.tensors:
        if name.endswith(HEADS):
            found[name] = "head"
        elif name.startswith(prefix):
            found[name] = name[len(prefix) :]
    if not any(role.endswith(EMBEDDINGS) for role in found.values()):
        raise MismatchError(
            str(layout.parent),
            f"no embeddings are named {prefix!r}...: its language part is not found",
            "merge the language model before it is put together with others",
        )
    return found


def _outer_prefix(layout: Layout) -> str:
    """Returns what precedes the language model's own names: `model.language_model.` of `...layers.`."""
    parts = layout.layer_prefix.rstrip(".").split(".")
    return ".".join(parts[:-1]) + "." if len(parts) > 1 else ""


def _taken_out(layout: Layout, model: Layout) -> tuple[Layout, dict[str, str]]:
    """Shows the language part of a larger model under a text model's names."""
    places = _by_role(model)
    head = next((name for name in model.tensors if name.endswith(HEADS)), "lm_head.weight")
    prefix = _outer_prefix(model)
    own = {}
    for name, role in language_names(layout).items():
        own[head if role == "head" else places.get(role, prefix + role)] = name
    config = {**layout.config["text_config"], "architectures": model.config.get("architectures")}
    config.setdefault("tie_word_embeddings", layout.config.get("tie_word_embeddings", False))
    tensors = {new: layout.tensors[old] for new, old in own.items()}
    return replace(layout, config=config, tensors=tensors, layer_prefix=model.layer_prefix), own


def _put_in(layout: Layout, model: Layout) -> tuple[Layout, dict[str, str]]:
    """Shows a text model under the names that the language part of a larger model has."""
    places = _by_role(model)
    prefix = _outer_prefix(model)
    own = {}
    for name, role in language_names(layout).items():
        own[places.get(role, name if role == "head" else prefix + role)] = name
    text: dict[str, Any] = {**model.config["text_config"], **_shared(layout.config)}
    config = {**model.config, "text_config": text} | _shared(layout.config)
    tensors = {new: layout.tensors[old] for new, old in own.items()}
    return replace(layout, config=config, tensors=tensors, layer_prefix=model.layer_prefix), own


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a text model's configuration the comparison of parents looks at."""
    kept: Iterable[str] = ("vocab_size", "tie_word_embeddings", "num_attention_heads", "num_key_value_heads")
    return {key: config[key] for key in kept if key in config}


def _only_language_mixed(layout: Layout) -> Layout:
    language = language_names(layout)
    return replace(layout, copied=frozenset(name for name in layout.tensors if name not in language))


def _by_role(layout: Layout) -> dict[str, str]:
    return {role: name for name, role in language_names(layout).items()}
