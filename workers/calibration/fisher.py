"""The diagonal of the Fisher information of a language model, on some texts.

Matena and Raffel, arXiv 2111.09832, equation 3, with labels drawn from the model's own predictions.

    F = 1/N sum_x (grad L(x))^2,    L(x) = 1/T sum_t log p(y_t | x_1 ... x_t),    y_t ~ p(. | x_1 ... x_t)

x one of N texts of T + 1 tokens.  One label is drawn per position; the log-likelihood is averaged over
the positions of a text, its gradient squared for each text by itself, and the squares averaged over
texts.  The gradient is taken in the network's precision, squares and sums in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from workers.calibration.open_network import OpenNetwork


def diagonal_fisher(
    network: OpenNetwork, texts: Sequence[Tensor], *, seed: int, tell: Callable[[int], None]
) -> dict[str, Tensor]:
    """Returns the diagonal for every parameter of the network, by its name, in float32.

    Args:
        network: In evaluation mode.
        texts: Tokens, each [T + 1].
        seed: Of the labels; they are drawn on the CPU, so that they are the same on any device.
        tell: Called with how many texts are done.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = network.parameters()
    sums = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in parameters.items()}
    handles = [_listen(parameter, sums[name]) for name, parameter in parameters.items()]
    try:
        for number, text in enumerate(texts, start=1):
            with torch.enable_grad():
                logits = network.model(text[None].to(network.device), use_cache=False).logits[0, :-1].float()
                likelihood = torch.log_softmax(logits, dim=-1)
                labels = draw_labels(likelihood.detach(), generator)
                likelihood.gather(1, labels[:, None]).mean().backward()  # type: ignore[no-untyped-call]
            tell(number)
    finally:
        for handle in handles:
            handle.remove()
        for parameter in parameters.values():
            parameter.requires_grad_(False)
    return {name: total.div_(len(texts)) for name, total in sums.items()}


def draw_labels(likelihood: Tensor, generator: torch.Generator) -> Tensor:
    """Returns one token [T] per position, drawn from these log-probabilities [T, V]."""
    uniform = torch.rand(likelihood.shape[0], 1, generator=generator, dtype=torch.float64)
    upto = likelihood.double().exp().cumsum(dim=-1)
    labels = torch.searchsorted(upto, uniform.to(upto.device) * upto[:, -1:], right=True)
    return labels[:, 0].clamp(max=likelihood.shape[1] - 1)


def _listen(parameter: Tensor, total: Tensor) -> Any:  # noqa: ANN401 - torch's handle
    """Has a parameter's gradient squared and added when it is complete, and let go at once."""

    def add(complete: Tensor) -> None:
        if complete.grad is not None:
            gradient = complete.grad.float()
            total.addcmul_(gradient, gradient)
            complete.grad = None

    return parameter.requires_grad_().register_post_accumulate_grad_hook(add)  # type: ignore[no-untyped-call]
