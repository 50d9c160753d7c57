"""Architectures whose layers compute with their own number: a layer elsewhere is another layer.

Found by moving the same weights to another layer in every causal model of transformers; a test repeats
that, and fails when one is missing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NUMBERED: Mapping[str, str] = {
    "beam": "scales what it adds by the layer's number",
    "diffllama": "subtracts attention with a weight that grows with the layer's number",
    "inkling2_text": "starts a new sum at every few layers, counted from the first",
}
"""model_type -> what follows from the number."""
SWITCHES: Mapping[str, str] = {
    "hidden_size_per_layer_input": "gives each layer the part of its embeddings with the layer's number",
    "scale_attn_by_inverse_layer_idx": "scales its attention by the layer's number",
}
"""Keys of a configuration that, where they are not zero or false, have the same effect."""


def use_of_number(config: Mapping[str, Any], parts: Sequence[str] = ()) -> str | None:
    """Returns what a model's layers do with their number; None where they do nothing with it."""
    for part in (config, *(config[key] for key in parts if isinstance(config.get(key), Mapping))):
        if part.get("model_type") in NUMBERED:
            return NUMBERED[str(part["model_type"])]
        for switch, use in SWITCHES.items():
            if part.get(switch):
                return use
    return None
