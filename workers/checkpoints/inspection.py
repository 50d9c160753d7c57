"""Looks at checkpoints before any weight is read: what they are, and whether they fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces import Parent
from workers.checkpoints.adapters import read_adapter, with_adapter
from workers.checkpoints.layer_stacks import (
    DEPTH_KEYS,
    EMBEDDINGS,
    HEADS,
    beside_the_language_model,
    find_layers,
    is_constant,
    is_unread,
    outer_prefix,
)
from workers.checkpoints.layout import Layout, TensorEntry, language_config
from workers.checkpoints.tensor_table import read_json, read_tensor_table
from workers.checkpoints.vocabulary import read_vocabulary, vocabulary_size
from workers.errors import CheckpointError, MismatchError

__all__ = [
    "DEPTH_KEYS",
    "EMBEDDINGS",
    "HEADS",
    "compare_layouts",
    "inspect_checkpoint",
    "is_tied",
    "layout_of",
]

LARGEST_SIZE = 2**24
_SIZES = (
    *("hidden_size", "n_embd", "intermediate_size", "vocab_size", "head_dim"),
    *("num_attention_heads", "n_head", "num_key_value_heads", "num_local_experts", "num_experts"),
)


def inspect_checkpoint(
    parent: Parent, folder: Path | None = None, adapter_folder: Path | None = None
) -> Layout:
    """Returns the layout of the checkpoint in a folder, and of its adapter; None takes the parent's own.

    Raises:
        CheckpointError: The checkpoint or its adapter is missing, broken, or not data.
        MismatchError: The adapter was made for another model.
    """
    if parent.adapter_as_parent is not None:
        adapter_folder = adapter_folder or Path(parent.adapter_as_parent.model).expanduser()
        adapter = read_adapter(parent.adapter_as_parent, adapter_folder)
        return with_adapter(inspect_checkpoint(parent.without_adapter, folder), adapter, parent)
    folder = Path(parent.model).expanduser() if folder is None else folder
    if not folder.is_dir():
        raise CheckpointError(
            str(parent), f"there is no folder {folder}", "correct the path, or save the model there"
        )
    return layout_of(parent, folder, read_json(folder / "config.json"), read_tensor_table(folder))


def layout_of(
    parent: Parent, folder: Path, config: Mapping[str, Any], tensors: Mapping[str, TensorEntry]
) -> Layout:
    """Returns the layout that a configuration and a tensor table describe.

    Raises:
        CheckpointError: The model needs code of its own, or its layers cannot be found.
    """
    if config.get("auto_map"):
        raise CheckpointError(
            str(parent),
            "config.json has an auto_map: the model comes with code of its own, which is not run",
            "use a model whose architecture is part of transformers",
        )
    if config.get("quantization_config"):
        raise CheckpointError(
            str(parent),
            "the weights are quantized, and cannot be merged",
            "use the model before quantization",
        )
    layers, prefix = find_layers(parent, config, tensors)
    _check_sizes(parent, config, tensors)
    beside = beside_the_language_model(config, tensors, prefix)
    return Layout(parent, folder, config, tensors, layers, prefix, beside)


def _check_sizes(parent: Parent, config: Mapping[str, Any], tensors: Mapping[str, TensorEntry]) -> None:
    """Refuses sizes that no model has, before anything of that size is made.

    Raises:
        CheckpointError: A size is no number from 1 to LARGEST_SIZE, or there are more tokens than rows.
    """
    for part in (config, language_config(config)):
        for key in _SIZES:
            size = part.get(key)
            # Some configurations list one number per layer.
            if size is None or isinstance(size, list):
                continue
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_SIZE:
                raise CheckpointError(
                    str(parent), f"{key} is {size!r:.80}", f"it must be 1 to {LARGEST_SIZE}"
                )
    tokens = vocabulary_size(config)
    rows = [entry.shape[0] for name, entry in tensors.items() if name.endswith(EMBEDDINGS) and entry.shape]
    if tokens is not None and rows and tokens > max(rows):
        detail = f"config.json promises {tokens} tokens, the embeddings have {max(rows)} rows"
        raise CheckpointError(str(parent), detail, "correct config.json, or save the checkpoint again")


def compare_layouts(
    layouts: Sequence[Layout], *, vocabularies: bool = True, depths: bool = True, heads: bool = True
) -> list[MismatchError]:
    """Returns everything in which checkpoints differ from the first and that keeps them from merging.

    Args:
        layouts: Of the checkpoints.
        vocabularies: Whether their tokens must be the same.
        depths: Whether they must have equally many layers.
        heads: Whether all must tie their output to their input embeddings, or none.
    """
    problems: list[MismatchError] = []
    for other in layouts[1:]:
        problems += _compare_tying(layouts[0], other) if heads else []
        problems += _compare(layouts[0], other, vocabularies=vocabularies, depths=depths)
    return problems


def _compare(first: Layout, other: Layout, *, vocabularies: bool, depths: bool) -> list[MismatchError]:
    field = str(other.parent)
    if other.architecture != first.architecture:
        detail = f"is a {other.architecture}, {first.parent} is a {first.architecture}"
        return [MismatchError(field, detail, "merge models of one architecture")]
    problems = []
    if other.layers != first.layers and depths:
        detail = f"has {other.layers} layers, {first.parent} has {first.layers}"
        problems.append(MismatchError(field, detail, "merge models of one depth, or stack their layers"))
    problems += _compare_vocabulary(first, other) if vocabularies else []
    return problems + _compare_tensors(first, other)


def _compare_tying(first: Layout, other: Layout) -> list[MismatchError]:
    tied, others = is_tied(first), is_tied(other)
    if (
        other.architecture != first.architecture
        or tied == others
        or tying_is_open(first)
        or tying_is_open(other)
    ):
        return []
    detail = f"tie_word_embeddings is {others}, {first.parent} has {tied}"
    return [MismatchError(str(other.parent), detail, "untie the tied models first, or leave them out")]


def is_tied(layout: Layout) -> bool:
    """Says whether input and output embeddings are one tensor: as loaded, or else by config.json."""
    if layout.tables is not None and layout.head is not None:
        return layout.head not in layout.tensors
    default = language_config(layout.config).get("tie_word_embeddings")
    if default is None:
        default = not any(name.endswith(HEADS) for name in layout.tensors)
    return bool(layout.config.get("tie_word_embeddings", default))


def tying_is_open(layout: Layout) -> bool:
    """Says whether only the weights can tell: config.json ties what the files hold twice.

    transformers ties two tensors that are equal, and keeps two that differ.
    """
    heads = any(name.endswith(HEADS) for name in layout.tensors)
    return layout.tables is None and is_tied(layout) and heads and any(map(_is_embedding, layout.tensors))


def _is_embedding(name: str) -> bool:
    return name.endswith(EMBEDDINGS)


def _compare_vocabulary(first: Layout, other: Layout) -> list[MismatchError]:
    field = str(other.parent)
    sizes = vocabulary_size(first.config), vocabulary_size(other.config)
    if sizes[0] != sizes[1]:
        detail = f"has a vocabulary of {sizes[1]} tokens, {first.parent} of {sizes[0]}"
        return [MismatchError(field, detail, "merge models that share a tokenizer")]
    mine, theirs = read_vocabulary(first.folder), read_vocabulary(other.folder)
    differing = mine.differing(theirs) if mine is not None and theirs is not None else []
    if not differing:
        return []
    detail = (
        f"its tokenizer gives {len(differing)} tokens, such as {differing[0]!r}, another id than "
        f"{first.parent}'s"
    )
    return [MismatchError(field, detail, "merge models that share a tokenizer")]


def _compare_tensors(first: Layout, other: Layout) -> list[MismatchError]:
    field = str(other.parent)
    mine, theirs = _by_role(first), _by_role(other)
    differing = mine.keys() ^ theirs.keys()
    if is_tied(first) or is_tied(other):  # tied models may keep a copy of the head; tying was compared before
        differing = {role for role in differing if not role.endswith((*HEADS, *EMBEDDINGS))}
    if differing and other.layers == first.layers:
        role = min(differing)
        owner, lacking = (first, other) if role in mine else (other, first)
        name = (mine if role in mine else theirs)[role]
        detail = (
            f"{len(differing)} tensors are not in both: {lacking.parent} lacks {name!r} of {owner.parent}"
        )
        return [MismatchError(field, detail, "merge models of one architecture and size")]
    sizes = (vocabulary_size(first.config), vocabulary_size(other.config))
    for role in sorted(mine.keys() & theirs.keys()):
        name, others = mine[role], theirs[role]
        shape, shapes = first.tensors[name].shape, other.tensors[others].shape
        # Embeddings of unequal length were reported with the vocabularies.
        if shape != shapes and (shape[:1], shapes[:1]) != tuple((size,) for size in sizes):
            detail = f"{others!r} has shape {list(shapes)}, in {first.parent} it has {list(shape)}"
            return [MismatchError(field, detail, "merge models of one size")]
    return []


def _by_role(layout: Layout) -> dict[str, str]:
    """Returns the tensors that are merged, by what they are: names without the prefix that some files lack.

    Left out is what transformers does not load.
    """
    prefix = outer_prefix(layout.layer_prefix)
    found = {}
    for name, entry in layout.tensors.items():
        number = layout.layer_of(name)
        unread = is_unread(name, number, layout.layers, layout.config)
        if name not in layout.copied and not unread and not is_constant(name, entry.shape):
            found[name.removeprefix(prefix)] = name
    return found
