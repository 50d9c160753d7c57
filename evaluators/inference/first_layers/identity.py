"""What a network's first layers are, so that those of two candidates can be told to be the same.

Two networks make the same of the same tokens up to a layer if everything up to there is the same: the
rows of the embedding that are looked up, the weights to the last bit, the settings, and what else was
hung on a layer (the scales of a stack's layers).  A network's *chain* says this layer by layer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch
import xxhash
from torch import Tensor, nn
from transformers import PreTrainedModel

# Settings that say how many layers there are, and of what kind each is; the latter is in the chain.
_OF_DEPTH = frozenset({"num_hidden_layers", "layer_types", "max_window_layers"})

Link = tuple[object, ...]  # equal to another network's where the layer is


def layers_of(network: object) -> Sequence[nn.Module]:
    """Returns a network's layers in the order in which they run; none where they are not plain to see."""
    if not isinstance(network, PreTrainedModel):
        return ()
    depth = network.config.get_text_config().num_hidden_layers
    lists = [child for child in network.base_model.children() if isinstance(child, nn.ModuleList)]
    return tuple(lists[0]) if len(lists) == 1 and len(lists[0]) == depth else ()


def links(network: PreTrainedModel, tokens: Tensor) -> Iterator[Link]:
    """Yields what is before the layers, and then each layer.

    Args:
        network: One whose layers are plain to see, on the CPU.
        tokens: Those that are read, each once and in order.
    """
    yield _before(network, tokens)
    kinds = getattr(network.config.get_text_config(), "layer_types", None)
    for number, layer in enumerate(layers_of(network)):
        yield _hooks(layer), type(layer), kinds and kinds[number], _digest(_tensors(layer))


def _before(network: PreTrainedModel, tokens: Tensor) -> Link:
    """Returns the settings, and what makes hidden states of tokens."""
    body: Any = network.base_model
    settings = {k: v for k, v in network.config.to_dict().items() if k not in _OF_DEPTH}
    embedding: Any = network.get_input_embeddings()
    others: list[Tensor] = []
    hooks: list[object] = []
    for child in body.children():
        if isinstance(child, nn.ModuleList):
            break
        hooks.extend(_hooks(child))
        others.extend(_tensors(child) if child is not embedding else ())
    rows = embedding.weight.detach()[tokens]
    said = json.dumps(settings, sort_keys=True, default=str), str(network.dtype)
    return *hooks, type(network), said, _digest(chain((rows,), others))


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())


def _hooks(module: nn.Module) -> tuple[object, ...]:
    """Returns what was hung on a module and its parts."""
    return tuple(
        hook
        for part in module.modules()
        for hung in (part._forward_pre_hooks, part._forward_hooks)
        for hook in hung.values()
    )


def _digest(tensors: Iterator[Tensor]) -> bytes:
    """Returns 128 bits that follow from shapes, data types and every bit of the entries."""
    digest = xxhash.xxh3_128()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype} ".encode())
        entries = tensor.detach().contiguous().reshape(-1)
        digest.update(entries.view(torch.uint8).numpy().data)
    return digest.digest()
