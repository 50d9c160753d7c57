"""LoRA adapters as parents: which weights of a model an adapter changes, and by what.  Torch-free.

An adapter is a folder as peft saves it: adapter_config.json and adapter_model.safetensors.  Nothing is
added up here: a tensor's entry says what to add when it is read, W + scale * B A (Hu et al. 2021,
arXiv:2106.09685, equation 3), where scale is alpha / r, or alpha / sqrt(r) for rank-stabilized
adapters (Kalajdzievski 2023, arXiv:2312.03732).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces import Parent
from workers.checkpoints.layout import Layout, LowRankChange, TensorEntry
from workers.checkpoints.tensor_table import read_header, read_json
from workers.errors import CheckpointError, MismatchError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<kind>embedding_)?(?P<which>[AB])(\.default)?(\.weight)?")
_SAVED = re.compile(r"\.(modules_to_save|original_module)(\.default)?(?=\.)")
_PLAIN = re.compile(r"[\w.-]+")
_ALONE = "merge the adapter into its model with peft, and use that model"
# Their base is not the model they were made from: its weights were changed when training began.
_CHANGED_BASES = ("pissa", "olora", "corda", "loftq")


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
        CheckpointError: The adapter is of a kind that a sum cannot express.
        MismatchError: It was made for a model of other names or shapes.
    """
    _check_kind(adapter)
    tensors = dict(model.tensors)
    factors: dict[tuple[str, bool], dict[str, str]] = {}
    for key, entry in adapter.tensors.items():
        match = _FACTOR.fullmatch(key.removeprefix(_PREFIX))
        if match is not None:
            factors.setdefault((match["module"], match["kind"] is not None), {})[match["which"]] = key
        else:
            name, replaced = _replaced(model, adapter, key, entry)
            tensors[name] = replaced
    for (module, embedding), names in factors.items():
        name = _tensor_of(model, adapter, f"{module}.weight")
        change = _change(adapter, module, names, embedding=embedding)
        tensors[name] = replace(tensors[name], change=_fitted(model, adapter, name, change))
    return replace(model, parent=parent, tensors=tensors)


def _check_kind(adapter: AdapterFiles) -> None:
    config, field = adapter.config, str(adapter.parent)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(field, f"peft_type is {kind!r}, not 'LORA'", _ALONE)
    for key in ("use_dora", "lora_bias", "layer_replication", "target_parameters", "trainable_token_indices"):
        if config.get(key):
            raise CheckpointError(field, f"{key} is {str(config[key])[:80]}: no plain LoRA adapter", _ALONE)
    if config.get("bias") not in (None, "none"):
        raise CheckpointError(field, f"bias is {config['bias']!r}: it changes more than weights", _ALONE)
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGED_BASES):
        raise CheckpointError(
            field, f"init_lora_weights is {start!r}: its base has other weights than the model", _ALONE
        )


def _replaced(model: Layout, adapter: AdapterFiles, key: str, entry: TensorEntry) -> tuple[str, TensorEntry]:
    """Returns a whole tensor of the adapter (`modules_to_save`), under the model's name for it."""
    if ".lora_" in key:
        raise CheckpointError(str(adapter.parent), f"holds {key!r}, no factor of a LoRA adapter", _ALONE)
    name = _tensor_of(model, adapter, _SAVED.sub("", key.removeprefix(_PREFIX)))
    if entry.shape != model.tensors[name].shape:
        raise _unfit(model, adapter, name, f"has {key!r} of shape {list(entry.shape)}")
    return name, replace(entry, stored_as=key)


def _tensor_of(model: Layout, adapter: AdapterFiles, wanted: str) -> str:
    """Finds the model's tensor: checkpoints may lack the prefix that modules have, or have one more."""
    if wanted in model.tensors:
        return wanted
    without = wanted.split(".", 1)[-1]
    fitting = [n for n in model.tensors if n == without or n.endswith(f".{wanted}")]
    if len(fitting) == 1:
        return fitting[0]
    module = wanted.removesuffix(".weight")
    raise MismatchError(
        str(adapter.parent),
        f"changes {module!r}, which {model.parent} does not store",
        f"use it with the model it was made for{_made_for(adapter)}",
    )


def _change(
    adapter: AdapterFiles, module: str, names: Mapping[str, str], *, embedding: bool
) -> LowRankChange:
    field = str(adapter.parent)
    if names.keys() != {"A", "B"}:
        lacking = "B" if "A" in names else "A"
        raise CheckpointError(field, f"{module!r} has no lora_{lacking}", "save the adapter again")
    down, up = adapter.tensors[names["A"]], adapter.tensors[names["B"]]
    if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1] or not down.shape[0]:
        detail = f"{module!r} has factors of shapes {list(down.shape)} and {list(up.shape)}"
        raise CheckpointError(field, detail, "use an adapter of linear layers and embeddings")
    rank = down.shape[0]
    alpha = _of_module(adapter, "alpha_pattern", module, adapter.config.get("lora_alpha"))
    promised = _of_module(adapter, "rank_pattern", module, adapter.config.get("r"))
    if promised != rank:
        detail = f"r is {promised:g} for {module!r}, its factors have rank {rank}"
        raise CheckpointError(field, detail, "save the adapter again")
    scale = alpha / (rank**0.5 if adapter.config.get("use_rslora") else rank)
    transposed = embedding or bool(adapter.config.get("fan_in_fan_out"))
    return LowRankChange(down.file, names["A"], names["B"], scale, transposed)


def _of_module(adapter: AdapterFiles, key: str, module: str, usual: object) -> float:
    """Returns a number that modules may have for themselves; patterns are ends of modules' names."""
    value = usual
    patterns = adapter.config.get(key) or {}
    for pattern, own in patterns.items() if isinstance(patterns, dict) else ():
        plain = pattern.replace("\\.", ".").removeprefix("^")
        if not _PLAIN.fullmatch(plain):
            detail = f"{key} has the expression {pattern[:80]!r}"
            raise CheckpointError(str(adapter.parent), detail, "name modules by the ends of their names")
        if module == plain or (module.endswith(f".{plain}") and not pattern.startswith("^")):
            value = own
            break
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise CheckpointError(
            str(adapter.parent), f"{key.split('_')[0]} is {value!r} for {module!r}", f"correct {CONFIG_FILE}"
        )
    return float(value)


def _fitted(model: Layout, adapter: AdapterFiles, name: str, change: LowRankChange) -> LowRankChange:
    """Returns the change the way round that the weight is stored; what is square is as the adapter says."""
    rows, columns = adapter.tensors[change.up].shape[0], adapter.tensors[change.down].shape[1]
    shape = model.tensors[name].shape
    if rows != columns and shape in ((rows, columns), (columns, rows)):
        return replace(change, transposed=shape == (columns, rows))
    if shape != (rows, columns):
        raise _unfit(model, adapter, name, f"changes {rows} x {columns} numbers")
    return change


def _unfit(model: Layout, adapter: AdapterFiles, name: str, what: str) -> MismatchError:
    return MismatchError(
        str(adapter.parent),
        f"{what}, {name!r} of {model.parent} has shape {list(model.tensors[name].shape)}",
        f"use it with the model it was made for{_made_for(adapter)}",
    )


def _made_for(adapter: AdapterFiles) -> str:
    name = adapter.config.get("base_model_name_or_path")
    return f", {name[:200]}" if isinstance(name, str) and name else ""
