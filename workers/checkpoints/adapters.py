"""LoRA adapters as parents: which weights of a model an adapter changes, and by what.  Torch-free.

An adapter is a folder as peft saves it: adapter_config.json and adapter_model.safetensors.  Nothing is
added up here: a tensor's entry says what to do when it is read.  W + scale * B A (Hu et al. 2021,
arXiv:2106.09685, equation 3), where scale is alpha / r, or alpha / sqrt(r) for rank-stabilized adapters
(Kalajdzievski 2023, arXiv:2312.03732); its rows brought to learned lengths (DoRA, Liu et al. 2024,
arXiv:2402.09353, equation 5); biases, rows of embeddings and whole modules that were trained beside.
The result is what peft computes with the adapter on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces import Parent
from workers.checkpoints.layout import AddedVector, Layout, LowRankChange, ReplacedRows, TensorEntry
from workers.checkpoints.peft_format.adapter_keys import AdapterKeys, ModuleKeys, sorted_keys
from workers.checkpoints.peft_format.adapter_kinds import ALONE, check_kind
from workers.checkpoints.peft_format.adapter_patterns import UnsafeExpressionError, number_of
from workers.checkpoints.peft_format.adapter_ties import (
    EMBEDDINGS,
    HEADS,
    follows_embeddings,
    is_tied,
    needs_own_head,
    with_head_alike,
    with_own_head,
)
from workers.checkpoints.tensor_table import read_header, read_json
from workers.errors import CheckpointError, MismatchError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
# transformers' Conv1D layers: peft decides by the layer's class which way round a weight lies.
_INPUT_FIRST = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
_INPUT_FIRST_LAYERS = ("c_attn", "c_proj", "c_fc", "q_attn")


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An adapter's configuration and tensor table."""

    parent: Parent
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]


def read_adapter(parent: Parent, folder: Path) -> AdapterFiles:
    """Returns what an adapter's folder holds; `parent` is the adapter's own reference.

    Raises:
        CheckpointError: It is no LoRA adapter, or it is broken.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(
            str(parent), f"has no {CONFIG_FILE}: it is no adapter", "name a folder that peft saved"
        )
    if not (folder / WEIGHTS_FILE).is_file():
        raise CheckpointError(str(parent), f"has no {WEIGHTS_FILE}", "save the adapter as safetensors")
    return AdapterFiles(parent, read_json(folder / CONFIG_FILE), read_header(folder / WEIGHTS_FILE))


def with_adapter(model: Layout, adapter: AdapterFiles, parent: Parent) -> Layout:
    """Returns the model's layout with the adapter's changes; `parent` names the two together.

    Raises:
        CheckpointError: The adapter is of a kind that changed weights cannot express, or it is broken.
        MismatchError: It was made for a model of other names or shapes.
    """
    check_kind(str(adapter.parent), adapter.config)
    keys = sorted_keys(adapter.tensors, adapter.config)
    if keys.unknown:
        raise CheckpointError(
            str(adapter.parent), f"holds {keys.unknown[0]!r}, which no LoRA adapter has", ALONE
        )
    tied = is_tied(model)
    found = _Adapted(adapter, model)
    found.take_bases(keys, tied=tied)
    parted = tied and needs_own_head(keys, adapter.config)
    if parted:
        found.layout = with_own_head(found.layout)
    copies = HEADS if tied and follows_embeddings(adapter.config) else ()
    found.take_changes(keys, copies)
    layout = with_head_alike(found.layout, model) if tied and not parted else found.layout
    return replace(layout, parent=parent)


class _Adapted:
    """A model's layout, on which an adapter's changes are entered one after the other."""

    def __init__(self, adapter: AdapterFiles, model: Layout) -> None:
        self.adapter, self.layout = adapter, model

    def take_bases(self, keys: AdapterKeys, *, tied: bool) -> None:
        """Enters what takes the place of the model's own weights; of a tied pair either stands for both."""
        for name, key in keys.bases.items():
            shared = (other for other in self.layout.tensors if other.endswith(EMBEDDINGS))
            self._replace(next(shared, name) if tied and name.endswith(HEADS) else name, key)

    def take_changes(self, keys: AdapterKeys, copies: tuple[str, ...]) -> None:
        """Enters all else, but for modules that are copies of others."""
        for name, key in keys.wholes.items():
            if not copies or not name.endswith(copies):
                self._replace(name, key)
        for module, own in keys.modules.items():
            if not copies or not f"{module}.weight".endswith(copies):
                self._add_factors(module, own)
        for module, key in keys.rows.items():
            if not copies or not f"{module}.weight".endswith(copies):
                self._put_rows(module, key)

    def _enter(self, name: str, entry: TensorEntry) -> None:
        self.layout = replace(self.layout, tensors={**self.layout.tensors, name: entry})

    def _replace(self, wanted: str, key: str) -> None:
        """Enters a whole tensor of the adapter, under the model's name for it."""
        entry = self.adapter.tensors[key]
        name = self._tensor_of(wanted)
        if entry.shape != self.layout.tensors[name].shape:
            raise self._unfit(name, f"has {key!r} of shape {list(entry.shape)}")
        self._enter(name, replace(entry, stored_as=key))

    def _put_rows(self, module: str, key: str) -> None:
        """Enters rows that were trained alone."""
        name, entry = self._tensor_of(f"{module}.weight"), self.adapter.tensors[key]
        rows = _rows_of(self.adapter, module)
        weight = self.layout.tensors[name]
        if weight.change is not None:
            detail = f"trains rows of {module!r} alone and by factors"
            raise CheckpointError(str(self.adapter.parent), detail, ALONE)
        if entry.shape != (len(rows), *weight.shape[1:]) or not all(
            0 <= row < weight.shape[0] for row in rows
        ):
            raise self._unfit(name, f"has {len(rows)} rows for {module!r} of shape {list(entry.shape)}")
        self._enter(name, replace(weight, change=ReplacedRows(entry.file, key, rows)))

    def _add_factors(self, module: str, keys: ModuleKeys) -> None:
        """Enters what is added to a module's weight, and to its bias."""
        name = self._tensor_of(f"{module}.weight")
        change = self._fitted(
            name, _change(self.adapter, module, keys, input_first=_lies_input_first(self.layout, module))
        )
        self._enter(name, replace(self.layout.tensors[name], change=change))
        if bool(self.adapter.config.get("lora_bias")) != (keys.bias is not None):
            had = "no bias" if keys.bias is None else "a bias"
            detail = (
                f"lora_bias is {self.adapter.config.get('lora_bias')!r}, and lora_B of {module!r} has {had}"
            )
            raise CheckpointError(str(self.adapter.parent), detail, "save the adapter again")
        if keys.bias is None:
            return
        added = self.adapter.tensors[keys.bias]
        bias = self._tensor_of(f"{module}.bias")
        if added.shape != self.layout.tensors[bias].shape:
            raise self._unfit(bias, f"has {keys.bias!r} of shape {list(added.shape)}")
        vector = AddedVector(added.file, keys.bias, change.scale)
        self._enter(bias, replace(self.layout.tensors[bias], change=vector))

    def _fitted(self, name: str, change: LowRankChange) -> LowRankChange:
        """Returns the change the way round that the weight is stored; what is square is as its layer is."""
        tensors = self.adapter.tensors
        rows, columns = tensors[change.up].shape[0], tensors[change.down].shape[1]
        shape = self.layout.tensors[name].shape
        if rows != columns and shape in ((rows, columns), (columns, rows)):
            change = replace(change, transposed=shape == (columns, rows))
        elif shape != (rows, columns):
            raise self._unfit(name, f"changes {rows} x {columns} numbers")
        if change.magnitude is not None and math.prod(tensors[change.magnitude].shape) != rows:
            lengths = list(tensors[change.magnitude].shape)
            raise self._unfit(name, f"has lengths of shape {lengths} for {rows} rows")
        return change

    def _tensor_of(self, wanted: str) -> str:
        """Finds the model's tensor: checkpoints may lack the prefix that modules have, or have one more."""
        tensors = self.layout.tensors
        if wanted in tensors:
            return wanted
        without = wanted.split(".", 1)[-1]
        fitting = [n for n in tensors if n == without or n.endswith(f".{wanted}")]
        if len(fitting) == 1:
            return fitting[0]
        what = repr(wanted.removesuffix(".weight"))
        raise MismatchError(
            str(self.adapter.parent),
            f"changes {what}, which {self.layout.parent} does not store",
            f"use it with the model it was made for{_made_for(self.adapter)}",
        )

    def _unfit(self, name: str, what: str) -> MismatchError:
        return MismatchError(
            str(self.adapter.parent),
            f"{what}, {name!r} of {self.layout.parent} has shape {list(self.layout.tensors[name].shape)}",
            f"use it with the model it was made for{_made_for(self.adapter)}",
        )


def _change(adapter: AdapterFiles, module: str, keys: ModuleKeys, *, input_first: bool) -> LowRankChange:
    field = str(adapter.parent)
    if keys.factors.keys() != {"A", "B"}:
        lacking = "B" if "A" in keys.factors else "A"
        raise CheckpointError(field, f"{module!r} has no lora_{lacking}", "save the adapter again")
    if (keys.magnitude is not None) != bool(adapter.config.get("use_dora")):
        had = "no lora_magnitude_vector" if keys.magnitude is None else "a lora_magnitude_vector"
        detail = f"use_dora is {adapter.config.get('use_dora')!r}, and {module!r} has {had}"
        raise CheckpointError(field, detail, f"correct {CONFIG_FILE}, or save the adapter again")
    down, up = adapter.tensors[keys.factors["A"]], adapter.tensors[keys.factors["B"]]
    if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1] or not down.shape[0]:
        detail = f"{module!r} has factors of shapes {list(down.shape)} and {list(up.shape)}"
        raise CheckpointError(field, detail, "use an adapter of linear layers and embeddings")
    scale = _scale_of(adapter, module, down.shape[0])
    transposed = keys.embedding or input_first
    return LowRankChange(down.file, keys.factors["A"], keys.factors["B"], scale, transposed, keys.magnitude)


def _scale_of(adapter: AdapterFiles, module: str, rank: int) -> float:
    alpha = _number(adapter, "alpha_pattern", module, adapter.config.get("lora_alpha"))
    promised = _number(adapter, "rank_pattern", module, adapter.config.get("r"))
    if promised != rank:
        detail = f"r is {promised:g} for {module!r}, its factors have rank {rank}"
        raise CheckpointError(str(adapter.parent), detail, "save the adapter again")
    return alpha / (rank**0.5 if adapter.config.get("use_rslora") else rank)


def _number(adapter: AdapterFiles, key: str, module: str, usual: object) -> float:
    """Returns a number that modules may have for themselves."""
    field = str(adapter.parent)
    try:
        value = number_of(adapter.config, key, module, usual)
    except UnsafeExpressionError as error:
        raise CheckpointError(
            field, f"{key} has {error}", "name modules by the ends of their names"
        ) from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        detail = f"{key.split('_')[0]} is {value!r} for {module!r}"
        raise CheckpointError(field, detail, f"correct {CONFIG_FILE}")
    return float(value)


def _rows_of(adapter: AdapterFiles, module: str) -> tuple[int, ...]:
    """Returns the rows of a module that were trained alone, as `trainable_token_indices` lists them."""
    listed = adapter.config.get("trainable_token_indices")
    if isinstance(listed, Mapping):
        listed = next((rows for name, rows in listed.items() if f".{module}".endswith(f".{name}")), None)
    if not isinstance(listed, list) or not all(type(row) is int for row in listed):
        detail = f"trainable_token_indices lists no rows for {module!r}"
        raise CheckpointError(str(adapter.parent), detail, f"correct {CONFIG_FILE}")
    return tuple(listed)


def _lies_input_first(layout: Layout, module: str) -> bool:
    """Says whether a linear layer's weight is stored [in, out]."""
    conv = layout.config.get("model_type") in _INPUT_FIRST
    return conv and module.rsplit(".", 1)[-1] in _INPUT_FIRST_LAYERS


def _made_for(adapter: AdapterFiles) -> str:
    name = adapter.config.get("base_model_name_or_path")
    return f", {name[:200]}" if isinstance(name, str) and name else ""
