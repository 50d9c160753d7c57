"""Reads and writes LoRA adapters as peft saves them: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from workers.checkpoints.peft_format.adapter_kinds import check_kind
from workers.checkpoints.peft_format.adapter_patterns import UnsafeExpressionError, number_of
from workers.checkpoints.tensor_digests import folder_digest
from workers.checkpoints.tensor_table import read_header, read_json
from workers.checkpoints.writing.staging import (
    dispose_of_leftovers,
    files_in,
    name_of_partial,
    put_in_place,
    sync,
)
from workers.errors import CheckpointError, ExportError, FolderTakenError
from workers.protocol.messages import Exported
from workers.protocol.transform_orders import Destination

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
# Linear layers and embeddings are stored under different names.
SUFFIXES = ((".lora_A.weight", ".lora_B.weight"), (".lora_embedding_A", ".lora_embedding_B"))
_RETRAIN = "use an adapter of plain LoRA factors, or merge the adapted models themselves"


@dataclass(frozen=True, slots=True)
class Factors:
    """One layer's change of weights, up @ down: A [rank, in] and B [out, rank] with its scaling."""

    down: Tensor
    up: Tensor
    suffixes: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: its configuration, and the factors of each layer, by the layer's name."""

    folder: Path
    config: Mapping[str, Any]
    factors: Mapping[str, Factors]


def read_adapter(folder: Path) -> Adapter:
    """Returns an adapter; `lora_alpha / r` (rsLoRA: `/ sqrt(r)`) is folded into B, in float32 or wider.

    Raises:
        CheckpointError: The folder holds no plain LoRA adapter, or it is broken.
    """
    if not folder.is_dir():
        raise CheckpointError(str(folder), "there is no such folder", "correct the path")
    config = read_json(folder / CONFIG_FILE)
    _check_config(folder, config)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(str(folder), f"has no {WEIGHTS_FILE}", "save the adapter as safetensors")
    read_header(path)  # within our limits, before anything else reads it
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(str(path), f"cannot be read ({error})", "save the adapter again") from error
    return Adapter(folder, config, _factors(folder, config, tensors))


def write_adapter(
    destination: Destination,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
) -> Exported:
    """Writes an adapter's folder; the name appears when it is complete.

    Raises:
        ExportError: The folder exists already, or nothing can be written there.
    """
    folder = Path(destination.folder).expanduser().absolute()
    occupied = os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir()))
    if occupied and not destination.replace:
        raise FolderTakenError(str(folder))
    partial = name_of_partial(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        dispose_of_leftovers(folder)
        partial.mkdir()
        save_file(dict(tensors), partial / WEIGHTS_FILE, metadata={"format": "pt"})
        content = json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name, text in {CONFIG_FILE: content, **texts}.items():
            (partial / name).write_text(text, encoding="utf-8")
        exported = _describe(partial, folder)
        sync(partial)
        put_in_place(partial, folder)
    except (OSError, SafetensorError) as error:
        detail = f"cannot be written ({getattr(error, 'strerror', None) or error})"
        raise ExportError(str(folder), detail, "check the path, its rights and the disk") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return exported


def _check_config(folder: Path, config: Mapping[str, Any]) -> None:
    check_kind(str(folder), config)
    for key in ("use_dora", "modules_to_save", "bias", "lora_bias", "trainable_token_indices"):
        if config.get(key) not in (None, False, [], {}, "none"):
            detail = f"{key} is {config[key]!r}: only factors are merged, and more than factors was trained"
            raise CheckpointError(str(folder), detail, _RETRAIN)


def _factors(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Factors]:
    found = {}
    remaining = set(tensors)
    for name in sorted(tensors):
        for suffixes in SUFFIXES:
            if name.endswith(suffixes[0]):
                stem = name.removesuffix(suffixes[0])
                layer = stem.removeprefix(PREFIX)
                pair = (name, stem + suffixes[1])
                remaining -= set(pair)
                found[layer] = _scaled(folder, config, layer, [tensors.get(key) for key in pair], suffixes)
    if remaining or not found:
        detail = f"holds {min(remaining)!r}, no LoRA factor" if remaining else "holds no LoRA factors"
        raise CheckpointError(str(folder / WEIGHTS_FILE), detail, _RETRAIN)
    return found


def _scaled(
    folder: Path,
    config: Mapping[str, Any],
    layer: str,
    pair: list[Tensor | None],
    suffixes: tuple[str, str],
) -> Factors:
    down, up = pair
    if down is None or up is None or down.dim() != 2 or up.dim() != 2 or down.shape[0] != up.shape[1]:
        shapes = [None if tensor is None else list(tensor.shape) for tensor in pair]
        raise CheckpointError(str(folder), f"{layer!r} has factors of shapes {shapes}", _RETRAIN)
    rank = down.shape[0]
    if rank == 0 or not bool(torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise CheckpointError(str(folder), f"{layer!r} has rank 0, NaN or infinity", "use another adapter")
    alpha = _alpha(folder, config, layer)
    scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    wide = torch.promote_types(up.dtype, torch.float32)
    return Factors(down.to(wide), up.to(wide) * scale, suffixes)


def _alpha(folder: Path, config: Mapping[str, Any], layer: str) -> float:
    try:
        alpha = number_of(config, "alpha_pattern", layer, config.get("lora_alpha"))
    except UnsafeExpressionError as error:
        remedy = "name layers by the ends of their names"
        raise CheckpointError(str(folder), f"alpha_pattern has {error}", remedy) from error
    if not isinstance(alpha, int | float) or isinstance(alpha, bool):
        raise CheckpointError(str(folder), f"lora_alpha is {alpha!r}", "correct adapter_config.json")
    return float(alpha)


def _describe(partial: Path, folder: Path) -> Exported:
    paths = files_in(partial)
    size = sum(path.stat().st_size for path in paths.values())
    return Exported(str(folder), tuple(paths), size, folder_digest(paths))
