"""LiveModel: a network in memory whose weights are overwritten in place for every candidate.

Nothing is built, loaded or written between two candidates: only numbers change.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.initialization import no_init_weights

from workers.configuration import own_dtype
from workers.errors import MergeError, PreparationError
from workers.layout import Layout

MOST_NETWORKS = 3  # of different depths, kept for candidates to come
LARGE_BYTES = 2_000_000_000  # of models this large only one network is kept


class Network:
    """A transformers model, and where each tensor of a checkpoint goes in it."""

    def __init__(self, config: Mapping[str, Any], *, dtype: torch.dtype, device: str) -> None:
        self.model = _build(config, dtype=dtype, device=device)
        self._places: dict[str, Tensor] = self.model.state_dict(keep_vars=True)
        self._tied: Mapping[str, str] = getattr(self.model, "all_tied_weights_keys", None) or {}
        self._ignored = [re.compile(p) for p in (self.model._keys_to_ignore_on_load_unexpected or ())]
        self._prefix = f"{self.model.base_model_prefix}."

    @torch.no_grad()
    def overwrite(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Copies a checkpoint's tensors into the network.

        Raises:
            MergeError: The tensors are not those of this network; what was there before is lost.
        """
        written = set()
        for name, tensor in tensors:
            place = self._place(name)
            if place is None:
                continue
            target = self._places[place]
            if target.shape != tensor.shape:
                detail = f"has shape {list(tensor.shape)}, the network takes {list(target.shape)}"
                raise MergeError(name, detail, "merge models of one size")
            target.copy_(tensor)
            written.add(target.data_ptr())
        for place, target in self._places.items():
            # A weight that nobody wrote would be the last candidate's, or none at all.
            if target.data_ptr() not in written and target.numel():
                raise MergeError(
                    place, "is in the network and not in the checkpoint", "save the parents again"
                )

    def _place(self, name: str) -> str | None:
        """Returns where a tensor goes; None for one that the network does not keep.

        Raises:
            MergeError: The network has no such tensor.
        """
        # Checkpoints of the bare transformer lack the prefix that the model with a head has.
        for candidate in (name, self._prefix + name, name.removeprefix(self._prefix)):
            if candidate in self._places:
                # In a tied model the head is the embedding, which comes under its own name.
                return (
                    None if candidate in self._tied and self._tied[candidate] in self._places else candidate
                )
        if name.endswith("rotary_emb.inv_freq") or any(p.search(name) for p in self._ignored):
            return None
        raise MergeError(
            name,
            f"{type(self.model).__name__} has no such tensor",
            "use checkpoints whose tensors are named as transformers saves them",
        )


class LiveModel:
    """The networks and the tokenizer of one owner, reused by all its candidates.

    Candidates of another depth get a network of their own; the last few stay.
    """

    def __init__(self, owner: Layout, *, dtype: str | None = None, device: str = "cpu") -> None:
        self.owner, self.device = owner, device
        self.dtype: torch.dtype = getattr(torch, dtype or own_dtype(owner))
        self.tokenizer = _load_tokenizer(owner)
        self._networks: OrderedDict[str, Network] = OrderedDict()

    def overwrite(self, config: Mapping[str, Any], tensors: Iterable[tuple[str, Tensor]]) -> Any:  # noqa: ANN401
        """Returns the model with these weights; it is valid until the next call.

        Args:
            config: The merged model's config.json.
            tensors: All its tensors, under the names they have in a checkpoint.

        Raises:
            MergeError: The tensors are not those that the configuration promises.
        """
        network = self._network(config)
        network.overwrite(tensors)
        return network.model

    def _network(self, config: Mapping[str, Any]) -> Network:
        key = json.dumps(config, sort_keys=True, default=str)
        if key not in self._networks:
            most = MOST_NETWORKS if self.owner.bytes < LARGE_BYTES else 1
            while len(self._networks) >= most:
                self._networks.popitem(last=False)
            network = Network(config, dtype=self.dtype, device=self.device)
            generation = self.owner.folder / "generation_config.json"
            if generation.is_file():
                network.model.generation_config = GenerationConfig.from_pretrained(self.owner.folder)
            self._networks[key] = network
        self._networks.move_to_end(key)
        return self._networks[key]


def _build(config: Mapping[str, Any], *, dtype: torch.dtype, device: str) -> Any:  # noqa: ANN401 - transformers
    """Builds a network without drawing random weights; the buffers it computes (rotary tables) are real."""
    known = {key: value for key, value in config.items() if key not in ("model_type", "torch_dtype", "dtype")}
    try:
        read = AutoConfig.for_model(config["model_type"], **known)
    except (KeyError, ValueError) as error:
        raise PreparationError(
            "model_type",
            f"{config.get('model_type')!r} is no architecture of this transformers ({error})",
            "install a newer transformers, or use other parents",
        ) from error
    drawing_nothing: AbstractContextManager[None] = no_init_weights()
    with torch.device(device), drawing_nothing:
        model = AutoModelForCausalLM.from_config(read, dtype=dtype, trust_remote_code=False)
    model.tie_weights()
    return model.requires_grad_(False).eval()


def _load_tokenizer(owner: Layout) -> Any:  # noqa: ANN401 - transformers
    try:
        return AutoTokenizer.from_pretrained(owner.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise PreparationError(
            str(owner.parent),
            f"its tokenizer cannot be loaded ({str(error).splitlines()[0]})",
            "add the tokenizer's files to the folder",
        ) from error
