"""Layout: what a checkpoint says of itself before any weight is read.  Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from search_spaces import Parent

STRUCTURE = ("num_attention_heads", "n_head", "num_key_value_heads", "head_dim")
"""What shapes do not show: eight heads of 64 and four of 128 have the same projections."""


@dataclass(frozen=True, slots=True)
class LowRankChange:
    """What an adapter adds to a weight: scale * up @ down; with a magnitude, rows brought to it (DoRA).

    Attributes:
        file: The safetensors file that holds both factors.
        down: The name of A, [rank, in].
        up: The name of B, [out, rank].
        transposed: The weight is stored [in, out], as Conv1D layers and embeddings are.
        magnitude: The name of the lengths that the rows [out] are given; None leaves them as they are.
    """

    file: Path
    down: str
    up: str
    scale: float
    transposed: bool = False
    magnitude: str | None = None


@dataclass(frozen=True, slots=True)
class ReplacedRows:
    """Rows of an embedding that an adapter trained alone: they take the place of the model's.

    Attributes:
        file: The safetensors file that holds them.
        name: Their name in it, [rows, width].
        rows: Which of the weight's rows they are, in this order.
    """

    file: Path
    name: str
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AddedVector:
    """What an adapter adds to a bias: scale * vector.

    Attributes:
        file: The safetensors file that holds it.
        name: Its name in it, of the bias' shape.
    """

    file: Path
    name: str
    scale: float


Change = LowRankChange | ReplacedRows | AddedVector
"""What is done to a stored tensor when it is read."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a checkpoint: `dtype` as safetensors writes it (`BF16`), and the file that holds it.

    Attributes:
        stored_as: Its name in the file, where that is another one.
        change: What an adapter adds to it when it is read.
        arrangement: Names the order of its rows, where that is not the file's.
    """

    shape: tuple[int, ...]
    dtype: str
    file: Path
    bytes: int
    stored_as: str | None = None
    change: Change | None = None
    arrangement: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """A checkpoint's configuration and tensor table, from config.json and the safetensors headers.

    Attributes:
        layers: How many transformer layers there are.
        layer_prefix: What precedes a layer's number in tensor names (`model.layers.`).
        copied: Tensors that are taken over as they are: whatever is not the language model.
        tables: The tensors with one row per token, input embeddings first, as transformers' own network
            of this configuration has them; () where it has no such network; None where only headers
            were looked at.
        head: What the output embeddings are called, stored or not; None where there are none, or where
            only headers were looked at.
        notes: In what the model is not as its files say, in sentences.
        stored: The same as the files hold it, where this is the checkpoint as transformers loads it.
    """

    parent: Parent
    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]
    layers: int
    layer_prefix: str
    copied: frozenset[str] = frozenset()
    tables: tuple[str, ...] | None = None
    head: str | None = None
    notes: tuple[str, ...] = ()
    stored: Layout | None = None

    @property
    def architecture(self) -> str:
        """The class that transformers loads it with."""
        return str((self.config.get("architectures") or ["unknown"])[0])

    @property
    def bytes(self) -> int:
        """The size of all tensors."""
        return sum(entry.bytes for entry in self.tensors.values())

    def layer_of(self, tensor: str) -> int | None:
        """Returns the number of the layer a tensor lies in, or None outside the layers."""
        if not tensor.startswith(self.layer_prefix):
            return None
        number = tensor[len(self.layer_prefix) :].split(".", 1)[0]
        return int(number) if number.isdigit() else None

    def in_layer(self, tensor: str, layer: int) -> str:
        """Returns the name that a layer's tensor has in another layer."""
        rest = tensor[len(self.layer_prefix) :].split(".", 1)[1]
        return f"{self.layer_prefix}{layer}.{rest}"


def parameter_counts(layout: Layout) -> tuple[int, int]:
    """Returns how many parameters a checkpoint has, and how many one of its layers."""
    inside = sum(prod(e.shape) for name, e in layout.tensors.items() if layout.layer_of(name) is not None)
    return sum(prod(entry.shape) for entry in layout.tensors.values()), inside // max(layout.layers, 1)


_LANGUAGE = ("text_config", "llm_config", "language_config", "thinker_config")
_SENSES = ("vision", "visual", "image", "audio", "speech", "video", "protein")


def text_config(layout: Layout) -> Mapping[str, Any]:
    """Returns the configuration of the language model."""
    return language_config(layout.config)


def language_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the part of a configuration that describes the language model; all of it where none does."""
    for key in _LANGUAGE:
        nested = config.get(key)
        if isinstance(nested, Mapping):
            return language_config(nested)
    return config


def with_language_config(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration with these entries in the part that describes the language model."""
    for key in _LANGUAGE:
        nested = config.get(key)
        if isinstance(nested, Mapping):
            return {**config, key: with_language_config(nested, changes)}
    return {**config, **changes}


def untied_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration that gives the head a tensor of its own."""
    return with_language_config(config, {"tie_word_embeddings": False}) | {"tie_word_embeddings": False}


def has_senses(config: Mapping[str, Any]) -> bool:
    """Says whether a configuration describes more than a language model, nested or flat."""
    described = [key for key, part in config.items() if isinstance(part, Mapping)]
    flat = any(key.endswith("_config") and key.startswith(_SENSES) for key in described)
    return flat or language_config(config) is not config
