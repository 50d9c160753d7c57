"""Gram matrices of what the linear layers of a network read.

    G = 1/n X^T X

X [n, in] the inputs of a layer at all n token positions; summed in float32.  Divided by n, so that a
parent's say does not grow with the length of its texts.  Layers that store their weights input first
(GPT-2's) get [1, in, in].  Layers that read one and the same tensor (queries, keys and values; gate and
up) share one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from workers.calibration.open_network import OpenNetwork
from workers.calibration.reading import read_through


@dataclass(slots=True)
class GramMatrices:
    """Matrices by the name of a weight in the network, and weights that share another's."""

    matrices: dict[str, Tensor] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Listener:
    """Adds up what the layers read."""

    found: GramMatrices = field(default_factory=GramMatrices)
    rows: dict[str, int] = field(default_factory=dict)
    last: tuple[str, Tensor] | None = None

    def begin(self, _model: nn.Module, _arguments: tuple[Any, ...]) -> None:
        """Forgets what the batch before ended with: memory that is free again may hold another tensor."""
        self.last = None

    def hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def listen(_layer: nn.Module, arguments: tuple[Any, ...]) -> None:
            inputs: Tensor = arguments[0]
            if name in self.found.aliases:
                return
            if name not in self.rows and self.last is not None and self.last[1] is inputs:
                self.found.aliases[name] = self.last[0]
                return
            self.last = (name, inputs)
            self._add(name, inputs)

        return listen

    def _add(self, name: str, inputs: Tensor) -> None:
        flat = inputs.detach().reshape(-1, inputs.shape[-1]).float()
        if name not in self.found.matrices:
            self.found.matrices[name] = flat.new_zeros((flat.shape[1], flat.shape[1]))
            self.rows[name] = 0
        self.found.matrices[name].addmm_(flat.T, flat)
        self.rows[name] += flat.shape[0]


@torch.no_grad()
def gram_matrices(
    network: OpenNetwork, texts: Sequence[Tensor], *, tell: Callable[[int], None]
) -> GramMatrices:
    """Returns the Gram matrix of every linear layer that the texts reach.

    A head that is tied to the embeddings is left out, and so are experts that are no linear layers of
    their own.

    Args:
        network: In evaluation mode.
        texts: Tokens, each [tokens].
        tell: Called with how many texts are done.
    """
    listener = _Listener()
    layers = linear_layers(network)
    hooks = [layer.register_forward_pre_hook(listener.hook(name)) for name, layer in layers.items()]
    read_through(network, texts, [network.model.register_forward_pre_hook(listener.begin), *hooks], tell=tell)
    found = listener.found
    for name, matrix in found.matrices.items():
        matrix.div_(max(listener.rows[name], 1))
        if isinstance(layers[name], Conv1D):
            found.matrices[name] = matrix[None]
    return found


def linear_layers(network: OpenNetwork) -> dict[str, nn.Module]:
    """Returns the linear layers by the name of their weight."""
    known = {id(parameter): name for name, parameter in network.parameters().items()}
    embeddings = network.model.get_input_embeddings()
    tied = id(getattr(embeddings, "weight", None))
    return {
        known[id(layer.weight)]: layer
        for layer in network.model.modules()
        if isinstance(layer, nn.Linear | Conv1D) and id(layer.weight) != tied
    }
