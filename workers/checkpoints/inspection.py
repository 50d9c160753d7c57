"""Looks at checkpoints before any weight is read: what they are, and whether they fit together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces import Parent
from workers.checkpoints.adapters import read_adapter, with_adapter
from workers.checkpoints.layout import Layout, TensorEntry
from workers.checkpoints.tensor_table import read_json, read_tensor_table
from workers.checkpoints.vocabulary import read_vocabulary, vocabulary_size
from workers.errors import CheckpointError, MismatchError

DEPTH_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_OTHER_DEPTHS = ("decoder_layers", "num_decoder_layers")
_ONE_PER_LAYER = ("layers_block_type", "layer_types")
HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight")
MOST_LAYERS = 10_000
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
    layers = depth_of(parent, config)
    _check_sizes(parent, config, tensors)
    return Layout(parent, folder, config, tensors, layers, _layer_prefix(parent, tensors, layers))


def depth_of(parent: Parent, config: Mapping[str, Any]) -> int:
    """Returns the number of layers that a configuration gives.

    Raises:
        CheckpointError: It gives none, or no sensible one.
    """
    for part in (config, config.get("text_config")):
        for key in (*DEPTH_KEYS, *_OTHER_DEPTHS):
            if isinstance(part, Mapping) and key in part:
                layers = part[key]
                if not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS:
                    raise CheckpointError(
                        str(parent), f"{key} is {layers!r}", f"it must be 1 to {MOST_LAYERS}"
                    )
                return layers
        for key in _ONE_PER_LAYER:
            if isinstance(part, Mapping) and isinstance(part.get(key), list) and part[key]:
                return len(part[key])
    raise CheckpointError(
        str(parent), "config.json does not say how many layers there are", f"it needs one of {DEPTH_KEYS}"
    )


def _check_sizes(parent: Parent, config: Mapping[str, Any], tensors: Mapping[str, TensorEntry]) -> None:
    """Refuses sizes that nobody has, before anything of that size is made.

    Raises:
        CheckpointError: A size is no number from 1 to LARGEST_SIZE, or there are more tokens than rows.
    """
    nested = config.get("text_config")
    for part in (config, nested if isinstance(nested, Mapping) else {}):
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


def _layer_prefix(parent: Parent, tensors: Mapping[str, TensorEntry], layers: int) -> str:
    """Finds what stands before the layers' numbers: the first number in most tensor names."""
    numbers: dict[str, set[int]] = defaultdict(set)
    tensors_with: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        position = next((i for i, part in enumerate(parts) if part.isdigit()), None)
        if position is not None:
            prefix = ".".join(parts[:position]) + "." if position else ""
            numbers[prefix].add(int(parts[position]))
            tensors_with[prefix] += 1
    fitting = [prefix for prefix, found in numbers.items() if found == set(range(layers))]
    if not fitting:
        counts = {prefix: len(found) for prefix, found in numbers.items()}
        raise CheckpointError(
            str(parent),
            f"config.json promises {layers} layers, the tensors are numbered {counts or 'nowhere'}",
            "correct config.json, or save the checkpoint again",
        )
    return max(fitting, key=lambda prefix: tensors_with[prefix])


def compare_layouts(
    layouts: Sequence[Layout], *, vocabularies: bool = True, depths: bool = True
) -> list[MismatchError]:
    """Returns everything in which checkpoints differ from the first and that keeps them from merging.

    Args:
        layouts: Of the checkpoints.
        vocabularies: Whether their tokens must be the same.
        depths: Whether they must have equally many layers.
    """
    problems: list[MismatchError] = []
    for other in layouts[1:]:
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
    problems += _compare_tying(first, other)
    problems += _compare_vocabulary(first, other) if vocabularies else []
    return problems + _compare_tensors(first, other)


def _compare_tying(first: Layout, other: Layout) -> list[MismatchError]:
    tied, others = is_tied(first), is_tied(other)
    if tied == others:
        return []
    detail = f"tie_word_embeddings is {others}, {first.parent} has {tied}"
    return [MismatchError(str(other.parent), detail, "untie the tied models first, or leave them out")]


def is_tied(layout: Layout) -> bool:
    """Says whether input and output embeddings are one tensor."""
    names = [name for name in layout.tensors if name.endswith(HEADS)]
    text = layout.config.get("text_config")
    default = text.get("tie_word_embeddings") if isinstance(text, Mapping) else None
    return bool(layout.config.get("tie_word_embeddings", default if default is not None else not names))


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
    differing = (first.tensors.keys() ^ other.tensors.keys()) - first.copied - other.copied
    if is_tied(first) or is_tied(other):  # tied models may keep a copy of the head; tying was compared before
        differing = {name for name in differing if not name.endswith(HEADS)}
    if differing and other.layers == first.layers:
        name = min(differing)
        owner, lacking = (first, other) if name in first.tensors else (other, first)
        detail = (
            f"{len(differing)} tensors are not in both: {lacking.parent} lacks {name!r} of {owner.parent}"
        )
        return [MismatchError(field, detail, "merge models of one architecture and size")]
    sizes = (vocabulary_size(first.config), vocabulary_size(other.config))
    for name in sorted((first.tensors.keys() & other.tensors.keys()) - first.copied):
        mine, theirs = first.tensors[name].shape, other.tensors[name].shape
        # Embeddings of unequal length were reported with the vocabularies.
        if mine != theirs and (mine[:1], theirs[:1]) != tuple((size,) for size in sizes):
            detail = f"{name!r} has shape {list(theirs)}, in {first.parent} it has {list(mine)}"
            return [MismatchError(field, detail, "merge models of one size")]
    return []
