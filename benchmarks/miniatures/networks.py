"""The networks: a plain MLP, and a stack of pre-norm residual blocks; weights are dictionaries of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.miniatures.digits import CLASSES, PIXELS, Items

Weights = dict[str, Tensor]
Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""From weights and pixels [items, 64] to logits [items, 10]."""

HIDDEN = 128
LAYERS = 3  # of the plain MLP
BLOCKS, WIDTH = 6, 32  # of the residual one
Hop = tuple[Mapping[str, Tensor], int, float]
"""One step of a path: whose block, which one, and what its input is multiplied with."""


def new_mlp(seed: int) -> Weights:
    """Returns an untrained MLP 64-128-128-10: `0.w` of shape [64, 128], `0.b` of shape [128], ..."""
    sizes = (PIXELS, HIDDEN, HIDDEN, CLASSES)
    draw = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(LAYERS):
        rows, columns = sizes[layer : layer + 2]
        weights[f"{layer}.w"] = torch.randn(rows, columns, generator=draw) * (2 / rows) ** 0.5
        weights[f"{layer}.b"] = torch.zeros(columns)
    return weights


def mlp(weights: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
    """Returns the MLP's logits, shape [items, 10]."""
    flow = pixels
    for layer in range(LAYERS):
        flow = torch.addmm(weights[f"{layer}.b"], flow, weights[f"{layer}.w"])
        if layer < LAYERS - 1:
            flow = flow.relu()
    return flow


def new_stack(seed: int) -> Weights:
    """Returns an untrained stack: `in`, six blocks of `up` and `down`, `out`."""
    draw = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int, gain: float = 1.0) -> Tensor:
        return torch.randn(rows, columns, generator=draw) * (gain / math.sqrt(rows))

    weights = {"in": matrix(PIXELS, WIDTH), "out": matrix(WIDTH, CLASSES)}
    for block in range(BLOCKS):
        weights[f"{block}.up"] = matrix(WIDTH, 2 * WIDTH, 2**0.5)
        weights[f"{block}.down"] = matrix(2 * WIDTH, WIDTH, 0.5)
    return weights


def stack(weights: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
    """Returns the logits of all six blocks in their order, shape [items, 10]."""
    return along_path(weights, [(weights, block, 1.0) for block in range(BLOCKS)], pixels)


def along_path(owner: Mapping[str, Tensor], path: Sequence[Hop], pixels: Tensor) -> Tensor:
    """Returns the logits of any path of blocks between one network's first and last matrix.

    Each hop computes h <- s h, then h <- h + f(norm(h)): data flow space with input scales
    (arXiv 2403.13187, section 3.2).
    """
    flow = pixels @ owner["in"]
    for weights, block, scale in path:
        flow = scale * flow
        flow = flow + (_normed(flow) @ weights[f"{block}.up"]).relu() @ weights[f"{block}.down"]
    return _normed(flow) @ owner["out"]


def _normed(flow: Tensor) -> Tensor:
    """RMSNorm without weights."""
    return flow * torch.rsqrt(flow.square().mean(-1, keepdim=True) + 1e-6)


def train(
    forward: Forward, start: Mapping[str, Tensor], items: Items, *, steps: int, rate: float, seed: int
) -> Weights:
    """Returns weights trained from a start with Adam on batches of 64, the rate falling to nothing."""
    weights = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = items.at(torch.randint(len(items), (64,), generator=draw))
        loss = cross_entropy(forward(weights, batch.pixels), batch.labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return {name: tensor.detach() for name, tensor in weights.items()}


def hits(logits: Tensor, items: Items) -> Tensor:
    """Returns 1 for each item that is answered rightly and 0 for the others, float64, shape [items]."""
    return (logits.argmax(-1) == items.labels).double()
