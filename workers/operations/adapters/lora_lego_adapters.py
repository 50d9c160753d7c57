"""Merges adapters on disk, by LoRA-LEGO or by TIES on their factors: several of one base become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workers.errors import MergeError, MismatchError
from workers.operations.adapters.adapter_files import (
    PREFIX,
    Adapter,
    Factors,
    read_adapter,
    write_adapter,
)
from workers.operations.adapters.factor_ties import ties_of_factors
from workers.operations.adapters.lora_lego import Lego, cluster_units, merge_units, units_of
from workers.operations.rewriting import REPORT_FILE, Report, rng_for
from workers.protocol.messages import Transformed
from workers.protocol.transform_orders import AdapterMergeOrder

SAME = ("base_model_name_or_path", "revision", "fan_in_fan_out")


def merge_adapters(order: AdapterMergeOrder) -> Transformed:
    """Writes one adapter made of several.  A layer that only some adapt is made of theirs alone.

    All layers get one rank; where LoRA-LEGO finds fewer different units, a layer's last ranks are zero.

    Raises:
        CheckpointError: An adapter is missing, broken, or more than plain LoRA.
        MismatchError: The adapters are for different bases.
        MergeError: No adapters are given, or no rank.
        ExportError: The folder cannot be written.
    """
    if not order.adapters:
        raise MergeError("adapters", "none are given", "name at least one adapter's folder")
    adapters = [read_adapter(Path(folder).expanduser()) for folder in order.adapters]
    _check_same_base(adapters)
    layers = sorted({layer for adapter in adapters for layer in adapter.factors})
    merged = _by_ties if order.method == "ties" else _by_lego
    rank, tensors, report = merged(order, adapters, layers)
    config = _merged_config(adapters[0].config, layers, rank)
    exported = write_adapter(order.destination, config, tensors, {REPORT_FILE: report.text()})
    return Transformed(exported, report.text())


def _by_lego(
    order: AdapterMergeOrder, adapters: Sequence[Adapter], layers: Sequence[str]
) -> tuple[int, dict[str, Tensor], Report]:
    rank = order.rank
    if rank is None:
        rank = max(len(factors.down) for adapter in adapters for factors in adapter.factors.values())
    lego = Lego(order.parameter_reweighting, order.output_reweighting, order.norm, order.sign_align)
    settings = {
        "adapters": list(order.adapters),
        "rank": rank,
        "seed": order.seed,
        "parameter_reweighting": order.parameter_reweighting,
        "output_reweighting": order.output_reweighting,
        "norm": order.norm,
        "sign_align": order.sign_align,
    }
    report = Report("adapter merge", settings)
    tensors: dict[str, Tensor] = {}
    clusters: dict[str, int] = {}
    for layer in layers:
        own = [adapter.factors[layer] for adapter in adapters if layer in adapter.factors]
        down, up = merge_layer(own, rank, lego, seed=order.seed, name=layer)
        clusters[layer] = len(down)
        tensors |= _stored(layer, own[0], _padded(down, rank, 0), _padded(up, rank, 1))
    report.results["clusters"] = clusters
    return rank, tensors, report


def _by_ties(
    order: AdapterMergeOrder, adapters: Sequence[Adapter], layers: Sequence[str]
) -> tuple[int, dict[str, Tensor], Report]:
    """Merges the factors; an adapter that does not change a layer has no voice there."""
    weights = order.weights or (1.0 / len(adapters),) * len(adapters)
    if len(weights) != len(adapters):
        raise MergeError("weights", f"{len(weights)} for {len(adapters)} adapters", "give one per adapter")
    ranks = {len(factors.down) for adapter in adapters for factors in adapter.factors.values()}
    if len(ranks) > 1:
        detail = f"the adapters have ranks {', '.join(map(str, sorted(ranks)))}"
        raise MismatchError("adapters", detail, "merge adapters of one rank, or with method lego")
    settings = {
        "adapters": list(order.adapters),
        "method": "ties",
        "weights": list(weights),
        "density": order.density,
    }
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        present = [number for number, adapter in enumerate(adapters) if layer in adapter.factors]
        own, shares = [adapters[n].factors[layer] for n in present], [weights[n] for n in present]
        try:
            down = ties_of_factors([factors.down for factors in own], shares, order.density)
            up = ties_of_factors([factors.up for factors in own], shares, order.density)
        except MismatchError as error:
            raise MismatchError(layer, error.detail, error.remedy) from error
        tensors |= _stored(layer, own[0], down, up)
    return ranks.pop(), tensors, Report("adapter merge", settings)


def merge_layer(
    own: Sequence[Factors], rank: int, lego: Lego, *, seed: int, name: str
) -> tuple[Tensor, Tensor]:
    """Returns one layer's merged A [clusters, in] and B [out, clusters], float64.

    Raises:
        MismatchError: The adapters change layers of different sizes.
        MergeError: The rank is below 1.
    """
    try:
        units = units_of([(factors.down, factors.up) for factors in own])
    except MismatchError as error:
        raise MismatchError(name, error.detail, error.remedy) from error
    inputs = own[0].down.shape[1]
    labels = cluster_units(units, rank, inputs=inputs, rng=rng_for(seed, name), sign_align=lego.sign_align)
    mean_rank = sum(len(factors.down) for factors in own) / len(own)
    return merge_units(units, labels, inputs=inputs, mean_rank=mean_rank, lego=lego)


def _check_same_base(adapters: Sequence[Adapter]) -> None:
    first = adapters[0]
    for other in adapters[1:]:
        for key in SAME:
            mine, theirs = first.config.get(key) or None, other.config.get(key) or None
            if mine != theirs:
                detail = f"{key} is {theirs!r}, {first.folder} has {mine!r}"
                raise MismatchError(str(other.folder), detail, "merge adapters of one base")


def _padded(factor: Tensor, rank: int, axis: int) -> Tensor:
    missing = list(factor.shape)
    missing[axis] = rank - factor.shape[axis]
    return torch.cat([factor, factor.new_zeros(missing)], dim=axis)


def _stored(layer: str, form: Factors, down: Tensor, up: Tensor) -> dict[str, Tensor]:
    names = [f"{PREFIX}{layer}{suffix}" for suffix in form.suffixes]
    return {
        name: tensor.to(torch.float32).contiguous() for name, tensor in zip(names, (down, up), strict=True)
    }


def _merged_config(first: Mapping[str, Any], layers: Sequence[str], rank: int) -> dict[str, Any]:
    """Returns a configuration whose scaling is 1: that of each adapter is in the factors now."""
    return {
        **first,
        "r": rank,
        "lora_alpha": rank,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": list(layers),
        "layers_to_transform": None,
        "layers_pattern": None,
    }
