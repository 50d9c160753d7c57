"""What can be told of a parent from its descriptions and headers alone.  Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import Parent
from workers.checkpoints.hub.parent_files import description_folder, read_description
from workers.checkpoints.inspection import is_tied
from workers.checkpoints.language_part import is_multimodal
from workers.checkpoints.layout import Layout, text_config
from workers.checkpoints.tensor_table import read_json
from workers.checkpoints.vocabulary import read_vocabulary, vocabulary_rows
from workers.compatibility.model_cards import CARD_FILE, LONGEST, front_matter

_SIZES = {
    "hidden": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads",),
    "mlp": ("intermediate_size", "n_inner"),
}
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """One parent, as its files describe it.

    Attributes:
        sizes: Width (`hidden`), attention `heads`, those of keys and values (`kv_heads`), and `mlp` units;
            what its config leaves out is left out.
        parameters: How many numbers its tensors hold.
        bytes: Their size.
        dtypes: Number format, as safetensors writes it -> bytes.
        tokens: How many its tokenizer lists; None where it lists none.
        rows: Of its embeddings.
        context: Tokens of the longest text that it was made for.
        rope: The settings of its rotary positions.
        tied: Its output and input embeddings are one.
        licence: As its README or config says.
        made_from: The models that its README, config or adapter names as its base.
        revision: The one that was asked for; None is whichever is newest.
        here: Its weights lie on this machine.
    """

    parent: str
    architecture: str
    model_type: str
    layers: int
    sizes: Mapping[str, int]
    parameters: int
    bytes: int
    dtypes: Mapping[str, int]
    tokens: int | None
    rows: int | None
    context: int | None
    rope: Mapping[str, Any]
    tied: bool
    multimodal: bool
    licence: str | None
    made_from: tuple[str, ...]
    revision: str | None
    here: bool


def facts_of(layout: Layout) -> ParentFacts:
    """Returns what a layout's files say.

    Raises:
        CheckpointError: The tokenizer's file is broken.
    """
    config = text_config(layout)
    card = front_matter(read_description(layout.parent.without_adapter, layout.folder, CARD_FILE))
    vocabulary = read_vocabulary(layout.folder)
    dtypes: dict[str, int] = {}
    for entry in layout.tensors.values():
        dtypes[entry.dtype] = dtypes.get(entry.dtype, 0) + entry.bytes
    return ParentFacts(
        parent=str(layout.parent),
        architecture=layout.architecture,
        model_type=str(layout.config.get("model_type")),
        layers=layout.layers,
        sizes=_sizes(config),
        parameters=sum(math.prod(entry.shape) for entry in layout.tensors.values()),
        bytes=layout.bytes,
        dtypes=dtypes,
        tokens=len(vocabulary.ids) if vocabulary is not None else None,
        rows=vocabulary_rows(layout),
        context=next((config[key] for key in _CONTEXT_KEYS if isinstance(config.get(key), int)), None),
        rope=rope_of(config),
        tied=is_tied(layout),
        multimodal=is_multimodal(layout),
        licence=_licence(card, layout.config),
        made_from=_made_from(layout, card),
        revision=layout.parent.revision,
        here=all(entry.file.is_file() for entry in layout.tensors.values()),
    )


def _sizes(config: Mapping[str, Any]) -> dict[str, int]:
    found = {name: [config[key] for key in keys if key in config] for name, keys in _SIZES.items()}
    return {name: values[0] for name, values in found.items() if values and isinstance(values[0], int)}


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of rotary positions, under one name each; defaults are left out."""
    found = {
        key: config[key] for key in ("rope_theta", "partial_rotary_factor") if config.get(key) is not None
    }
    for key in ("rope_scaling", "rope_parameters"):
        scaling = config.get(key)
        if isinstance(scaling, Mapping):
            found |= {name: value for name, value in scaling.items() if value is not None}
    kind = found.pop("type", None)
    found.setdefault("rope_type", kind or "default")
    return dict(sorted(found.items())) if len(found) > 1 or found["rope_type"] != "default" else {}


def _licence(card: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    for found in (card.get("license_name"), card.get("license"), config.get("license")):
        text = ", ".join(map(str, found)) if isinstance(found, list) else found
        if isinstance(text, str) and text:
            return text[:LONGEST]
    return None


def _made_from(layout: Layout, card: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the bases that are named, each once."""
    named: list[object] = []
    listed = card.get("base_model")
    named += listed if isinstance(listed, list) else [listed]
    named.append(layout.config.get("_name_or_path"))
    named.append(_base_of_adapter(layout.parent))
    texts = (
        item[:LONGEST] for item in named if isinstance(item, str) and item and item != layout.parent.model
    )
    return tuple(dict.fromkeys(texts))


def _base_of_adapter(parent: Parent) -> object:
    """Returns the base that an adapter names."""
    if parent.adapter_as_parent is None:
        return None
    folder = description_folder(parent.adapter_as_parent, "adapter_config.json")
    path = folder / "adapter_config.json" if folder is not None else None
    return read_json(path).get("base_model_name_or_path") if path is not None and path.is_file() else None
