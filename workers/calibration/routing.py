"""How the routers of a mixture of experts use their experts.

    frequency_e = how often expert e is among the chosen / how many choices there were
    similarity_ef = <l_e, l_f> / (|l_e| |l_f|)

l_e [tokens] the router's logits of expert e at all token positions.  Li et al., "Merge, Then Compress"
(M-SMoE), arXiv 2310.01334, section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workers.calibration.open_network import OpenNetwork
from workers.calibration.reading import read_through
from workers.errors import MergeError

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k")
_ROUTERS = ("gate", "router")


@dataclass(slots=True)
class _Tally:
    """What one router has done: choices per expert [experts], inner products of logits [experts, experts]."""

    choices: Tensor
    products: Tensor


@torch.no_grad()
def routing_statistics(
    network: OpenNetwork, texts: Sequence[Tensor], *, tell: Callable[[int], None]
) -> dict[str, Tensor]:
    """Returns `ROUTER.frequency` [experts] and `ROUTER.similarity` [experts, experts], in float64.

    ROUTER is the name of the router's weight in the checkpoint, without `.weight`.

    Args:
        network: In evaluation mode.
        texts: Tokens, each [tokens].
        tell: Called with how many texts are done.

    Raises:
        MergeError: The model has no routers that are understood.
    """
    routers = _routers(network)
    tallies: dict[str, _Tally] = {}
    chosen = _number(network.model.config, _CHOSEN) or 1
    hooks = [
        router.register_forward_hook(_listener(name, tallies, chosen)) for name, router in routers.items()
    ]
    read_through(network, texts, hooks, tell=tell)
    parameters = network.parameters()
    found: dict[str, Tensor] = {}
    for name, tally in tallies.items():
        label = next(iter(network.in_checkpoint({name: parameters[name]}))).removesuffix(".weight")
        found[f"{label}.frequency"] = tally.choices / tally.choices.sum().clamp(min=1.0)
        found[f"{label}.similarity"] = _cosines(tally.products)
    return found


def _routers(network: OpenNetwork) -> dict[str, nn.Module]:
    """Returns the routers by the name of their weight, which has one row per expert.

    Raises:
        MergeError: There is none.
    """
    experts = _number(network.model.config, _EXPERTS)
    known = {id(parameter): name for name, parameter in network.parameters().items()}
    found: dict[str, nn.Module] = {}
    for name, layer in network.model.named_modules():
        weight = getattr(layer, "weight", None)
        named = name.rsplit(".", 1)[-1] in _ROUTERS
        if (
            experts
            and named
            and isinstance(weight, Tensor)
            and weight.dim() == 2
            and weight.shape[0] == experts
        ):
            found[known[id(weight)]] = layer
    if not found:
        raise MergeError(
            str(network.layout.parent),
            f"a {network.layout.architecture} has no routers that are understood",
            "record routing for a mixture of experts, such as Mixtral or Qwen-MoE",
        )
    return found


def _number(config: Any, keys: Sequence[str]) -> int | None:  # noqa: ANN401 - transformers
    text = getattr(config, "text_config", config)
    return next((value for key in keys if isinstance(value := getattr(text, key, None), int)), None)


def _listener(
    name: str, tallies: dict[str, _Tally], chosen: int
) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def listen(router: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        weight = router.weight
        assert isinstance(weight, Tensor)  # noqa: S101 - for the type checker
        inputs: Tensor = arguments[0].reshape(-1, weight.shape[1])
        logits = torch.nn.functional.linear(inputs, weight, getattr(router, "bias", None)).double()
        experts = logits.shape[1]
        if name not in tallies:
            tallies[name] = _Tally(logits.new_zeros(experts), logits.new_zeros(experts, experts))
        indices = _chosen(output, logits, chosen)
        tallies[name].choices += torch.bincount(indices.reshape(-1), minlength=experts)[:experts]
        tallies[name].products.addmm_(logits.T, logits)

    return listen


def _chosen(output: Any, logits: Tensor, count: int) -> Tensor:  # noqa: ANN401 - transformers
    """Returns the experts chosen at each position, as the router says, or those of the largest logits."""
    parts = output if isinstance(output, tuple) else (output,)
    for part in parts:
        if isinstance(part, Tensor) and part.dtype == torch.long:
            return part
    return logits.topk(min(count, logits.shape[1]), dim=-1).indices


def _cosines(products: Tensor) -> Tensor:
    lengths = products.diagonal().sqrt()
    return products / (lengths[:, None] * lengths[None, :]).clamp(min=torch.finfo(torch.float64).tiny)
