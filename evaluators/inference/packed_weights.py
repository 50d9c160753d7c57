"""Matrix products on a CPU with weights laid out for them once, and not anew at every product.

A product of few rows spends a quarter to a half of its time on bringing the weights into the order in
which its kernel reads them.  While a model is being asked its weights do not change, so oneDNN, which
comes with torch, lays them out beforehand.  The copy takes as much memory as the weights, and goes when
the model has answered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from evaluators.inference.memory import copy_fits

_WORTH = 1024  # tokens to be read, from which on laying out pays; it takes as long as reading about 100
_ROWS = 64  # of the products laid out for; others may be computed with the same copy
_log = logging.getLogger(__name__)


@contextmanager
def packed_weights(network: PreTrainedModel, tokens: int) -> Iterator[None]:
    """Has a network's linear layers use weights laid out for products, where that pays and fits.

    Results differ from the plain ones by rounding.  The weights must not change meanwhile.

    Args:
        network: Who is asked.
        tokens: How many it will read.
    """
    layers = _layers(network) if tokens >= _WORTH and can_pack() else []
    if layers and not copy_fits(network, sum(layer.weight.nbytes for layer in layers)):
        layers = []
    try:
        for layer in layers:
            layer.__dict__["forward"] = _packed(layer)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _layers(network: PreTrainedModel) -> list[nn.Linear]:
    """Returns the layers that multiply as torch's own do; altered ones are left alone."""
    dtypes = [torch.float32]
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        dtypes.append(torch.bfloat16)
    return [
        module
        for module in network.modules()
        if type(module) is nn.Linear
        and "forward" not in module.__dict__
        and module.weight.device.type == "cpu"
        and module.weight.dtype in dtypes
    ]


def _packed(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    """Returns a layer's product; its weights are laid out when it first multiplies anything."""
    plain, bias, dtype = layer.forward, layer.bias, layer.weight.dtype
    laid_out: list[Tensor] = []

    def forward(rows: Tensor) -> Tensor:
        if rows.dtype != dtype or rows.numel() == 0:
            return plain(rows)
        if not laid_out:
            laid_out.append(torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS))
        product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, laid_out[0], bias, "none", [], "")
        return product

    return forward


@cache
def can_pack() -> bool:
    """Says whether this build of torch lays weights out; tells, once, if not."""
    needed = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    built: Callable[[], bool] = torch.backends.mkldnn.is_available
    if built() and all(hasattr(torch.ops.mkldnn, name) for name in needed):
        return True
    _log.info("this torch comes without oneDNN: products on the CPU lay out their weights each time")
    return False
