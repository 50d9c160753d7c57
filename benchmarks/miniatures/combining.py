"""Ways from coefficients to merged weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.miniatures.networks import Weights


def average(models: Sequence[Mapping[str, Tensor]]) -> Weights:
    """Returns the plain average."""
    return {name: torch.stack([m[name] for m in models]).mean(0) for name in models[0]}
