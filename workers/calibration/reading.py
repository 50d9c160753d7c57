"""Texts put through a network whose layers are listened to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from workers.calibration.open_network import OpenNetwork
from workers.calibration.texts import batches_of_one_length

_BATCH = 8  # texts


@torch.no_grad()
def read_through(
    network: OpenNetwork,
    texts: Sequence[Tensor],
    hooks: Sequence[RemovableHandle],
    *,
    tell: Callable[[int], None],
) -> None:
    """Has a network read texts in batches of one length; its hooks are removed afterwards, come what may.

    Args:
        network: In evaluation mode.
        texts: Tokens, each [tokens].
        hooks: What listens to its layers.
        tell: Called with how many texts are done.
    """
    try:
        done = 0
        for batch in batches_of_one_length(texts, _BATCH):
            network.model(batch.to(network.device), use_cache=False)
            done += len(batch)
            tell(done)
    finally:
        for hook in hooks:
            hook.remove()
