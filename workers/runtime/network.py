"""Network: a transformers model without memory of its own, and where each tensor of a checkpoint goes.

Its parameters point either to slots, which belong to the live model and are written for every
candidate, or to a parent's own tensor where the merged one is a plain copy.  So a stack of layers costs
no memory but its numbers' addresses, and no time.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

import torch
from accelerate import init_empty_weights
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)
from transformers.core_model_loading import revert_weight_conversion
from transformers.initialization import no_init_weights

from workers.checkpoints.architecture.load_patterns import not_loaded
from workers.checkpoints.architecture.meta_model import read_configuration
from workers.errors import MergeError, PreparationError


@dataclass(frozen=True, slots=True)
class ParameterPlace:
    """Where a checkpoint's tensor goes: a parameter of the network, or a part of one.

    Attributes:
        parameter: Its name in the network.
        whole: The parameter's shape.
        shape: The tensor's, which is the parameter's unless the network keeps several in one.
        strides: Of the part, in entries.
        offset: Where in the parameter the part begins, in entries.
    """

    parameter: str
    dtype: torch.dtype
    whole: tuple[int, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    def __hash__(self) -> int:
        """Returns the hash of what is nearly unique: places are looked up for every candidate."""
        return hash((self.parameter, self.offset))

    @property
    def is_whole(self) -> bool:
        """Says whether nothing else goes into the parameter."""
        return self.whole == self.shape

    def inside(self, parameter: Tensor) -> Tensor:
        """Returns this place in the parameter's memory."""
        return parameter if self.is_whole else parameter.as_strided(self.shape, self.strides, self.offset)


class Network:
    """A transformers model whose weights are put in from outside.

    Attributes:
        model: The transformers model.
    """

    def __init__(self, config: Mapping[str, Any], *, dtype: torch.dtype, device: str) -> None:
        self.model = _build(config, dtype=dtype, device=device)
        self._places = _places_of(self.model)
        self._hollow = _let_go_of_memory(self.model, device)
        self._parameters: dict[str, Tensor] = self.model.state_dict(keep_vars=True)
        self._tied: Mapping[str, str] = getattr(self.model, "all_tied_weights_keys", None) or {}
        self._ignored = [re.compile(p) for p in not_loaded(self.model)]
        self._prefix = f"{self.model.base_model_prefix}."
        self._scaled: list[RemovableHandle] = []
        self._complete: tuple[ParameterPlace, ...] | None = None  # places that were found to make it up

    def place_of(self, name: str) -> ParameterPlace | None:
        """Returns where a checkpoint's tensor goes; None for one that the network does not keep.

        Raises:
            MergeError: The network has no such tensor.
        """
        # Checkpoints of the bare transformer lack the prefix that the model with a head has.
        for candidate in (name, self._prefix + name, name.removeprefix(self._prefix)):
            if candidate in self._places:
                place = self._places[candidate]
                # In a tied model the head is the embedding, which comes under its own name.
                tied_to = self._tied.get(place.parameter)
                return None if tied_to in self._parameters else place
        if name.endswith("rotary_emb.inv_freq") or any(p.search(name) for p in self._ignored):
            return None
        raise MergeError(
            name,
            f"{type(self.model).__name__} has no such tensor",
            "use checkpoints whose tensors are named as transformers saves them",
        )

    def put(self, parameter: str, tensor: Tensor) -> None:
        """Has a parameter show this tensor, without a copy; buffers, which modules also hold, are copied."""
        target = self._parameters[parameter]
        if id(target) not in self._hollow:
            target.copy_(tensor)
        elif target.data_ptr() != tensor.data_ptr() or target.shape != tensor.shape:
            target.data = tensor

    def scale_inputs(self, layer_prefix: str, scales: Sequence[float]) -> None:
        """Has the hidden states multiplied by these before they enter the layers, one number per layer.

        Raises:
            MergeError: The network's layers are not where its checkpoints' names say.
        """
        for handle in self._scaled:
            handle.remove()
        self._scaled = []
        for number, scale in enumerate(scales):
            if scale != 1.0:
                layer = self._layer(f"{layer_prefix}{number}")
                self._scaled.append(layer.register_forward_pre_hook(_Scaling(scale), with_kwargs=True))

    def _layer(self, name: str) -> torch.nn.Module:
        for candidate in (name, self._prefix + name):
            try:
                found: torch.nn.Module = self.model.get_submodule(candidate)
            except AttributeError:
                continue
            return found
        raise MergeError(
            name,
            f"{type(self.model).__name__} has no such layer",
            "stack layers without scales (scales: false)",
        )

    def check_complete(self, places: Iterable[ParameterPlace]) -> None:
        """Refuses tensors that do not make up the whole network.

        Raises:
            MergeError: A weight that is never written would be the last candidate's, or none at all.
        """
        told = tuple(places)
        if told == self._complete:
            return
        covered = Counter[int]()
        for place in told:
            covered[id(self._parameters[place.parameter])] += math.prod(place.shape)
        for name, place in self._places.items():
            target = self._parameters[place.parameter]
            if covered[id(target)] != math.prod(place.whole):
                raise MergeError(
                    name, "is in the network and not in the checkpoint", "save the parents again"
                )
        self._complete = told


@dataclass(frozen=True, slots=True)
class _Scaling:
    """Multiplies what enters a layer."""

    scale: float

    def __call__(
        self, _module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (args[0] * self.scale, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": kwargs["hidden_states"] * self.scale}


def key_of(config: Mapping[str, Any]) -> str:
    """Returns a text that equal configurations share."""
    return json.dumps(config, sort_keys=True, default=str)


def _places_of(model: Any) -> dict[str, ParameterPlace]:  # noqa: ANN401 - transformers
    """Returns where each tensor goes, by its name in a checkpoint.

    A network may name its tensors otherwise than checkpoints do, or keep several in one (the experts
    of a mixture).  Saving turns that back, and what it gives are views of the parameters, whose
    memory says where they lie.  Nothing is read or written meanwhile.

    Raises:
        PreparationError: Saving computes new tensors, so that there is no place to write them to.
    """
    own = {name: _stand_in(tensor) for name, tensor in model.state_dict(keep_vars=True).items()}
    names = {tensor.untyped_storage().data_ptr(): name for name, tensor in own.items()}
    places = {}
    for name, view in revert_weight_conversion(model, dict(own)).items():
        parameter = names.get(view.untyped_storage().data_ptr())
        if parameter is None:
            raise PreparationError(
                name,
                f"{type(model).__name__} keeps it in another form than checkpoints do",
                "merge this architecture to disk: evomerge merge",
            )
        whole = own[parameter]
        places[name] = ParameterPlace(
            parameter=parameter,
            dtype=whole.dtype,
            whole=tuple(whole.shape),
            shape=tuple(view.shape),
            strides=view.stride(),
            offset=view.storage_offset(),
        )
    return places


class _Traced(Tensor):
    """A tensor whose parts stay parts of it, so that their memory says where they came from."""

    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> Self:  # noqa: ARG002
        """Returns the part itself."""
        return self


def _stand_in(tensor: Tensor) -> _Traced:
    """Returns memory like the tensor's, with an address of its own, that is never touched."""
    memory = torch.empty(max(tensor.numel(), 1), dtype=tensor.dtype)
    return memory[: tensor.numel()].view(tensor.shape).as_subclass(_Traced)


def _let_go_of_memory(model: Any, device: str) -> set[int]:  # noqa: ANN401 - transformers
    """Replaces every parameter by an empty one on the device; returns their `id`s.  Tied ones stay one."""
    empty: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if id(parameter) not in empty:
                hollow = torch.empty(0, dtype=parameter.dtype, device=device)
                empty[id(parameter)] = torch.nn.Parameter(hollow, requires_grad=False)
            module.register_parameter(name, empty[id(parameter)])
    return {id(parameter) for parameter in empty.values()}


def _build(config: Mapping[str, Any], *, dtype: torch.dtype, device: str) -> Any:  # noqa: ANN401 - transformers
    """Builds a network without weights; the buffers it computes (rotary tables) are real."""
    read = read_configuration(config)
    sees = type(read) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    network_class: Any = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    drawing_nothing: AbstractContextManager[None] = no_init_weights()
    with torch.device(device), drawing_nothing, init_empty_weights(include_buffers=False):
        model = network_class.from_config(read, dtype=dtype, trust_remote_code=False)
    model.tie_weights()
    return model.requires_grad_(False).eval()
