"""What a model of given layers answers, by calling the parents' own layers one after the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class _Call:
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any


@torch.no_grad()
def composed_logits(models: Mapping[str, Any], order: Sequence[tuple[str, int]], tokens: Tensor) -> Tensor:
    """Returns the logits of these layers between the first one's embeddings and the last one's head.

    Each layer is called in its own model, with the masks and positions that it gets there, so that
    nothing depends on what a configuration says of the stack.

    Args:
        models: By name, in evaluation mode.
        order: Model and layer, from the bottom to the top.
        tokens: [batch, length].
    """
    recorded = {name: _recorded(model, tokens) for name, model in models.items()}
    hidden = _first_of(recorded[order[0][0]][0])
    out: Any = None
    for name, layer in order:
        args, kwargs = _carried(recorded[name], layer, out)
        args, kwargs = ((hidden, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": hidden})
        out = layers_of(models[name])[layer](*args, **kwargs)
        hidden = out[0] if isinstance(out, tuple | list) else out
    end = models[order[-1][0]]

    def replaced(_module: nn.Module, _args: object, own: Any) -> Any:
        return (hidden, *own[1:]) if isinstance(own, tuple | list) else hidden

    with _hooked([layers_of(end)[-1].register_forward_hook(replaced)]):
        return torch.as_tensor(end(input_ids=tokens, use_cache=False).logits)


def _carried(calls: Sequence[_Call], layer: int, out: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns a layer's arguments, with what the layer before it hands on besides the hidden states."""
    call, before = calls[layer], calls[layer - 1].result if layer else None
    if not isinstance(out, tuple) or not isinstance(before, tuple):
        return call.args, call.kwargs
    handed = {id(part): number for number, part in enumerate(before) if number and part is not None}

    def current(value: Any) -> Any:
        return out[handed[id(value)]] if id(value) in handed else value

    return tuple(map(current, call.args)), {key: current(value) for key, value in call.kwargs.items()}


@torch.no_grad()
def rearranged_logits(models: Mapping[str, Any], order: Sequence[tuple[str, int]], tokens: Tensor) -> Tensor:
    """Returns the same, from the last model's own loop over these layers.

    For architectures whose layers are not called one after the other; only right where the model looks
    nothing up by a layer's place.
    """
    end = copy.deepcopy(models[order[-1][0]])
    layers = layers_of(end)
    chosen = [copy.deepcopy(layers_of(models[name])[layer]) for name, layer in order]
    for module in end.modules():
        for name, child in module.named_children():
            if child is layers:
                setattr(module, name, nn.ModuleList(chosen))
    if order[0][0] != order[-1][0]:
        raise ValueError("the embeddings are the last model's")
    return torch.as_tensor(end(input_ids=tokens, use_cache=False).logits)


def layers_of(model: Any) -> nn.ModuleList:
    """Returns the list of layers that holds most of a model."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1]
    return max(lists, key=lambda found: sum(p.numel() for p in found.parameters()))


def _first_of(call: _Call) -> Tensor:
    return torch.as_tensor(call.args[0] if call.args else call.kwargs["hidden_states"])


def _recorded(model: Any, tokens: Tensor) -> list[_Call]:
    """Returns what each layer is called with."""
    found: dict[int, _Call] = {}

    def note(number: int) -> Any:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            found.setdefault(number, _Call(args, kwargs, result))

        return hook

    layers = layers_of(model)
    hooks = [layer.register_forward_hook(note(n), with_kwargs=True) for n, layer in enumerate(layers)]
    with _hooked(hooks):
        model(input_ids=tokens, use_cache=False)
    return [found[number] for number in range(len(layers))]


@contextmanager
def _hooked(handles: Sequence[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
