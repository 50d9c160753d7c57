"""Where a checkpoint's layers are, told from names and shapes alone.  Torch-free.

A model that also sees has more than one stack of layers; its language model is the one beside the
embeddings, however many layers and tensors the others have.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Parent
from workers.checkpoints.layout import TensorEntry, has_senses, language_config
from workers.errors import CheckpointError

DEPTH_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = (
    *("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight"),
    *("tok_embeddings.weight", "shared.weight", "backbone.embeddings.weight", "rwkv.embeddings.weight"),
)
MOST_LAYERS = 10_000
_DECODERS = ("decoder_layers", "num_decoder_layers")  # beside an encoder, which may be deeper
_PER_LAYER = ("layers_block_type", "layer_types", "hybrid_override_pattern")  # one entry or letter per layer
_SENSES = (
    *("vision", "visual", "image", "audio", "speech", "talker", "2wav", "projector"),
    "embed_tokens_extend",
)
_CONSTANTS = (".masked_bias", ".inv_freq", ".position_ids", "encoder.version", "decoder.version")
_UNREAD = ("mtp", "mtp_layers", "mtp_dspark")
_UNREAD_ENDS = (
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",  # T5's
    "text_lm_head.weight",
)
_KEYS_AND_VALUES = re.compile(r"self_attn\.[kv]_(proj|norm)\.")
FURTHER_LAYERS = ("num_nextn_predict_layers", "num_mtp_layers")  # predict tokens after the next, in no merge


def depth_of(parent: Parent, config: Mapping[str, Any]) -> int | None:
    """Returns the number of layers that a configuration gives the language model; None where it gives none.

    Raises:
        CheckpointError: It gives no sensible one.
    """
    for part in (language_config(config), config):
        for key in (*DEPTH_KEYS, *_DECODERS):
            if key in part:
                layers = part[key]
                if isinstance(layers, bool) or not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS:
                    raise CheckpointError(
                        str(parent), f"{key} is {layers!r}", f"it must be 1 to {MOST_LAYERS}"
                    )
                return layers
        listed = next((part[key] for key in _PER_LAYER if isinstance(part.get(key), list | str)), None)
        if listed:
            return len(listed)
    return None


def find_layers(
    parent: Parent, config: Mapping[str, Any], tensors: Mapping[str, TensorEntry], *, further: bool = True
) -> tuple[int, str]:
    """Returns how many layers the language model has, and what stands before their numbers in names.

    Args:
        parent: Whose they are.
        config: Its configuration.
        tensors: Its tensors.
        further: Whether layers may follow that predict further tokens, as many as the configuration says.

    Raises:
        CheckpointError: The layers are not those that the configuration promises.
    """
    layers = depth_of(parent, config)
    if layers is None and not has_senses(config):
        detail = "config.json does not say how many layers there are"
        raise CheckpointError(str(parent), detail, f"it needs one of {DEPTH_KEYS}")
    numbers, sizes = _numbered(tensors)
    extra = _further_layers(config) if further else 0
    fitting = [p for p, found in numbers.items() if _fits(found, layers, extra)]
    if not fitting:
        counts = {prefix: len(found) for prefix, found in numbers.items()}
        raise CheckpointError(
            str(parent),
            f"config.json promises {layers} layers, the tensors are numbered {counts or 'nowhere'}",
            "correct config.json, or save the checkpoint again",
        )
    beside = _language_paths(config, tensors)
    prefix = max(fitting, key=lambda p: (_nearness(p, beside), not is_sense(p), _is_usual(p), sizes[p]))
    return (len(numbers[prefix]) if layers is None else layers), prefix


def outer_prefix(layer_prefix: str) -> str:
    """Returns what precedes the language model's own names: `model.language_model.` of `...layers.`."""
    parts = layer_prefix.rstrip(".").split(".")
    return ".".join(parts[:-1]) + "." if len(parts) > 1 else ""


def beside_the_language_model(
    config: Mapping[str, Any], tensors: Mapping[str, TensorEntry], layer_prefix: str
) -> frozenset[str]:
    """Returns the tensors that are no part of the language model."""
    if not has_senses(config):
        return frozenset()
    prefix = outer_prefix(layer_prefix)
    paths = _language_paths(config, tensors)
    while prefix and not any(path.startswith(prefix) for path in paths):
        prefix = outer_prefix(prefix)
    if not prefix and "" not in paths:
        prefix = outer_prefix(layer_prefix)
    return frozenset(
        name
        for name in tensors
        if not name.startswith(layer_prefix)
        and not name.endswith(HEADS)
        and (not name.startswith(prefix) or is_sense(name.removeprefix(prefix)))
    )


def is_constant(name: str, shape: Sequence[int]) -> bool:
    """Says whether a tensor of an older checkpoint is one that the model computes anew."""
    mask = name.endswith((".attn.bias", ".attention.bias")) and len(shape) == 4  # which tokens are seen
    return mask or name.endswith(_CONSTANTS)


def is_unread(name: str, layer: int | None, layers: int, config: Mapping[str, Any]) -> bool:
    """Says whether a tensor is a weight that transformers does not load, by its name.

    Such are layers that predict further tokens, and keys and values of layers that take those of others.
    """
    if any(part in _UNREAD for part in name.split(".")) or name.endswith(_UNREAD_ENDS):
        return True
    shared = language_config(config).get("num_kv_shared_layers")
    if layer is not None and isinstance(shared, int) and layers - shared <= layer:
        return layer >= layers or _KEYS_AND_VALUES.search(name) is not None
    return layer is not None and layer >= layers


def is_sense(name: str) -> bool:
    """Says by its name whether a tensor belongs to a part that reads images or sound."""
    return any(word in name for word in _SENSES)


def _numbered(tensors: Mapping[str, TensorEntry]) -> tuple[dict[str, set[int]], Counter[str]]:
    """Returns the numbers that follow each prefix, the first in a name, and how many tensors have it."""
    numbers: dict[str, set[int]] = defaultdict(set)
    sizes: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        position = next((i for i, part in enumerate(parts) if part.isdigit()), None)
        if position is not None:
            prefix = ".".join(parts[:position]) + "." if position else ""
            numbers[prefix].add(int(parts[position]))
            sizes[prefix] += 1
    return numbers, sizes


def _is_usual(prefix: str) -> bool:
    return f".{prefix}".endswith((".layers.", ".layer.", ".blocks.", ".block.", ".h."))


def _further_layers(config: Mapping[str, Any]) -> int:
    counts = [language_config(config).get(key) for key in FURTHER_LAYERS]
    return max((count for count in counts if isinstance(count, int)), default=0)


def _fits(found: set[int], layers: int | None, extra: int) -> bool:
    if found != set(range(len(found))):
        return False
    return layers is None or layers <= len(found) <= layers + extra


def _language_paths(config: Mapping[str, Any], tensors: Mapping[str, TensorEntry]) -> set[str]:
    """Returns the modules that embeddings of tokens lie in (`model.` of `model.embed_tokens.weight`)."""
    named = [name for name in tensors if name.endswith(EMBEDDINGS)]
    if not named:
        tokens = language_config(config).get("vocab_size")
        named = [
            n for n, e in tensors.items() if len(e.shape) == 2 and e.shape[0] == tokens and n not in HEADS
        ]
    return {".".join(name.split(".")[:-2]) + "." for name in named if name.count(".") > 1}


def _nearness(prefix: str, paths: set[str]) -> int:
    """Returns how many modules a stack shares with the embeddings that lie nearest."""
    return max((path.count(".") for path in paths if prefix.startswith(path)), default=0)
