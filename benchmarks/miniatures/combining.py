"""Ways from coefficients to merged weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.miniatures.networks import Weights


def average(models: Sequence[Mapping[str, Tensor]]) -> Weights:
    """Returns the plain average."""
    return {name: torch.stack([m[name] for m in models]).mean(0) for name in models[0]}


def flat(weights: Mapping[str, Tensor]) -> Tensor:
    """Returns all weights as one vector, in the order of the dictionary."""
    return torch.cat([tensor.flatten() for tensor in weights.values()])


def shaped(vector: Tensor, like: Mapping[str, Tensor]) -> Weights:
    """Returns a vector as weights of a model's shapes: the inverse of `flat`."""
    pieces = torch.split(vector, [tensor.numel() for tensor in like.values()])
    return {
        name: piece.view(tensor.shape) for (name, tensor), piece in zip(like.items(), pieces, strict=True)
    }
