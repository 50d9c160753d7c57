from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.workers.merging.extra_cases import expected_of, inputs_of, parameters_of
from tests.workers.operations.golden_tensors import FOLDER, golden
from workers.errors import CheckpointError, ExportError, MergeError, MismatchError, WorkerError
from workers.operations.adapters.adapter_files import read_adapter
from workers.operations.adapters.factor_ties import ties_of_factors
from workers.operations.adapters.lora_lego import (
    Lego,
    Norm,
    cluster_units,
    merge_units,
    units_of,
)
from workers.operations.adapters.lora_lego_adapters import merge_adapters
from workers.protocol.transform_orders import AdapterMergeOrder, Destination

CASE = "lora_lego_given_labels"
PREFIX = "base_model.model."
PLAIN = Lego(parameter_reweighting=False, output_reweighting=False)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("expected", "norm", "parameter", "output"),
    [
        ("delta_inf_pr0_or0", "inf", False, False),
        ("delta_inf_pr0_or1", "inf", False, True),
        ("delta_inf_pr1_or0", "inf", True, False),
        ("delta_inf_pr1_or1", "inf", True, True),
        ("delta_l2_pr1_or1", "2", True, True),
    ],
)
def test_given_clusters_are_merged_as_in_the_reference(
    expected: str, norm: Norm, parameter: bool, output: bool
) -> None:
    labels = torch.tensor(json.loads((FOLDER / CASE / "params.json").read_text())["labels"])
    loras = [golden(CASE, "inputs", f"lora_{number}") for number in range(3)]
    units = units_of([(lora["A"], lora["B"]) for lora in loras])
    lego = Lego(parameter_reweighting=parameter, output_reweighting=output, norm=norm)
    down, up = merge_units(units, labels, inputs=16, mean_rank=4, lego=lego)
    delta = golden(CASE, "expected", expected)["delta"]
    torch.testing.assert_close((up @ down).float(), delta, rtol=0, atol=1e-6)


def blobs(seed: int = 0) -> tuple[Tensor, list[int]]:
    """Three directions, four noisy units near each, in a known order."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(3, 12, generator=generator)
    order = [0, 1, 2] * 4
    return centers[order] + 0.01 * torch.randn(12, 12, generator=generator), order


@pytest.mark.parametrize("seed", range(5))
def test_units_that_lie_together_are_found(seed: int) -> None:
    units, order = blobs()
    assert cluster_units(units, 3, inputs=5, rng=rng(seed)).tolist() == order


def test_equal_seeds_give_equal_clusters() -> None:
    units = torch.randn(40, 12, generator=torch.Generator().manual_seed(1))
    one, two = (cluster_units(units, 7, inputs=5, rng=rng(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert sorted(set(one.tolist())) == list(range(7))


def test_a_unit_and_its_negative_are_one_only_when_signs_are_aligned() -> None:
    units, order = blobs()
    flipped = units * torch.tensor([1.0, -1.0] * 6)[:, None]
    assert cluster_units(flipped, 3, inputs=5, rng=rng(), sign_align=True).tolist() == order
    assert cluster_units(flipped, 6, inputs=5, rng=rng()).tolist() != order
    labels = torch.tensor(order)
    aligned = merge_units(flipped, labels, inputs=5, mean_rank=4, lego=Lego(False, False, sign_align=True))
    straight = merge_units(units, labels, inputs=5, mean_rank=4, lego=PLAIN)
    products = [up @ down for down, up in (aligned, straight)]
    torch.testing.assert_close(*products, rtol=0, atol=1e-6)


def test_there_are_no_more_clusters_than_different_units() -> None:
    units = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).repeat(4, 1)
    assert cluster_units(units, 9, inputs=3, rng=rng()).tolist() == [0, 1, 2] * 4
    assert cluster_units(torch.zeros(4, 8), 2, inputs=3, rng=rng()).tolist() == [0, 0, 0, 0]


def test_members_that_cancel_out_give_nothing_rather_than_nan() -> None:
    unit = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    down, up = merge_units(torch.cat([unit, -unit]), torch.tensor([0, 0]), inputs=3, mean_rank=1, lego=Lego())
    assert torch.equal(up @ down, torch.zeros(5, 3, dtype=torch.float64))


def test_clusters_that_cannot_be_are_refused() -> None:
    with pytest.raises(MergeError, match="at least 1"):
        cluster_units(torch.ones(2, 4), 0, inputs=2, rng=rng())
    with pytest.raises(MergeError, match="NaN"):
        cluster_units(torch.full((2, 4), float("nan")), 1, inputs=2, rng=rng())
    with pytest.raises(MismatchError, match="different sizes"):
        units_of([(torch.ones(2, 4), torch.ones(3, 2)), (torch.ones(2, 5), torch.ones(3, 2))])


def save_adapter(folder: Path, seed: int, *layers: str, rank: int = 4, **config: Any) -> Path:
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir()
    tensors = {}
    for layer in layers or ("model.layers.0.q_proj", "model.layers.1.q_proj"):
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = torch.randn(rank, 6, generator=generator)
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = torch.randn(5, rank, generator=generator)
    save_file(tensors, folder / "adapter_model.safetensors")
    content: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "org/base",
        "r": rank,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(content | config))
    return folder


def change(folder: Path, layer: str) -> Tensor:
    """What a plain adapter adds to a layer."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    down, up = (tensors[f"{PREFIX}{layer}.lora_{side}.weight"] for side in "AB")
    scale: float = config["lora_alpha"] / (len(down) ** 0.5 if config.get("use_rslora") else len(down))
    return up @ down * scale


def order_for(folder: Path, *adapters: Path, **options: Any) -> AdapterMergeOrder:
    return AdapterMergeOrder(tuple(str(adapter) for adapter in adapters), Destination(str(folder)), **options)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"lora_alpha": 3}])
def test_an_adapter_merged_with_itself_changes_the_model_as_before(
    options: dict[str, Any], tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "a", 0, **options)
    done = merge_adapters(order_for(tmp_path / "out", adapter, adapter))
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (4, 4, False)
    assert config["target_modules"] == ["model.layers.0.q_proj", "model.layers.1.q_proj"]
    for layer in config["target_modules"]:
        torch.testing.assert_close(change(tmp_path / "out", layer), change(adapter, layer), rtol=0, atol=1e-5)
    assert set(done.exported.files) == {path.name for path in (tmp_path / "out").iterdir()}


def test_with_a_cluster_per_unit_changes_add_up(tmp_path: Path) -> None:
    first, second = save_adapter(tmp_path / "a", 0), save_adapter(tmp_path / "b", 1, rank=2)
    merge_adapters(order_for(tmp_path / "out", first, second, rank=6, output_reweighting=False))
    layer = "model.layers.1.q_proj"
    expected = change(first, layer) + change(second, layer)
    torch.testing.assert_close(change(tmp_path / "out", layer), expected, rtol=0, atol=1e-5)
    merge_adapters(order_for(tmp_path / "scaled", first, second, rank=6))
    torch.testing.assert_close(change(tmp_path / "scaled", layer), expected * 0.5**0.5, rtol=0, atol=1e-5)


def test_a_layer_that_one_adapter_alone_changes_is_taken_over(tmp_path: Path) -> None:
    first = save_adapter(tmp_path / "a", 0)
    second = save_adapter(tmp_path / "b", 1, "model.layers.7.v_proj", rank=2)
    merge_adapters(order_for(tmp_path / "out", first, second))
    layer = "model.layers.7.v_proj"
    torch.testing.assert_close(change(tmp_path / "out", layer), change(second, layer), rtol=0, atol=1e-5)
    padded = load_file(tmp_path / "out" / "adapter_model.safetensors")[f"{PREFIX}{layer}.lora_A.weight"]
    assert padded.shape == (4, 6)
    assert torch.equal(padded[2:], torch.zeros(2, 6))


def test_layers_with_an_alpha_of_their_own_are_scaled_by_it(tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "a", 0, alpha_pattern={"0.q_proj": 16})
    factors = read_adapter(adapter).factors
    raw = load_file(adapter / "adapter_model.safetensors")
    for number, scale in ((0, 4.0), (1, 2.0)):
        layer = f"model.layers.{number}.q_proj"
        torch.testing.assert_close(factors[layer].up, raw[f"{PREFIX}{layer}.lora_B.weight"] * scale)


def test_equal_orders_write_equal_adapters(tmp_path: Path) -> None:
    adapters = [save_adapter(tmp_path / str(n), n, rank=8) for n in range(3)]
    digests = [merge_adapters(order_for(tmp_path / name, *adapters)) for name in ("one", "two")]
    assert len({done.exported.digest for done in digests}) == 1
    other = merge_adapters(order_for(tmp_path / "three", *adapters, seed=1))
    assert other.exported.digest != digests[0].exported.digest


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ({"base_model_name_or_path": "org/other"}, MismatchError, "'org/other'"),
        ({"peft_type": "IA3"}, CheckpointError, "peft_type is 'IA3'"),
        ({"use_dora": True}, CheckpointError, "use_dora is True"),
        ({"modules_to_save": ["lm_head"]}, CheckpointError, "modules_to_save"),
        ({"bias": "all"}, CheckpointError, "bias is 'all'"),
        ({"lora_alpha": "8"}, CheckpointError, "lora_alpha is '8'"),
        ({"alpha_pattern": {".*q(a+)+$": 2}}, CheckpointError, "alpha_pattern"),
    ],
)
def test_an_adapter_of_another_kind_or_base_is_refused(
    config: dict[str, Any], error: type[WorkerError], words: str, tmp_path: Path
) -> None:
    first, other = save_adapter(tmp_path / "a", 0), save_adapter(tmp_path / "b", 1, **config)
    with pytest.raises(error, match=words):
        merge_adapters(order_for(tmp_path / "out", first, other))
    assert not (tmp_path / "out").exists()


def test_broken_adapters_are_refused_and_named(tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "a", 0)
    weights = adapter / "adapter_model.safetensors"
    whole = load_file(weights)
    layer = f"{PREFIX}model.layers.0.q_proj"
    broken = {
        "no LoRA factor": whole | {"extra": torch.ones(1)},
        "factors of shapes": {name: t for name, t in whole.items() if name != f"{layer}.lora_B.weight"},
        "NaN": whole | {f"{layer}.lora_A.weight": torch.full((4, 6), float("nan"))},
        "rank 0": whole
        | {f"{layer}.lora_A.weight": torch.ones(0, 6), f"{layer}.lora_B.weight": torch.ones(5, 0)},
    }
    for words, tensors in broken.items():
        save_file(tensors, weights)
        with pytest.raises(CheckpointError, match=words):
            merge_adapters(order_for(tmp_path / "out", adapter))
    weights.write_bytes(b"\x00" * 7)
    with pytest.raises(CheckpointError, match="truncated"):
        merge_adapters(order_for(tmp_path / "out", adapter))
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"has no adapter_model.safetensors"):
        merge_adapters(order_for(tmp_path / "out", adapter))
    with pytest.raises(CheckpointError, match="no such folder"):
        merge_adapters(order_for(tmp_path / "out", tmp_path / "missing"))
    with pytest.raises(MergeError, match="none are given"):
        merge_adapters(order_for(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_folder_that_exists_is_replaced_only_when_asked(tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "a", 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(ExportError, match="exists already"):
        merge_adapters(order_for(tmp_path / "out", adapter))
    merge_adapters(AdapterMergeOrder((str(adapter),), Destination(str(tmp_path / "out"), replace=True)))
    assert not (tmp_path / "out" / "precious.txt").exists()


def test_ties_of_factors_is_genomes_crossover() -> None:
    case = parameters_of("genome_crossover")["cases"][0]
    first, second = (inputs_of("genome_crossover", name) for name in ("lora_1", "lora_2"))
    fitness = case["weights_from_fitness"]
    weights = [value / sum(fitness) for value in fitness]
    for name, expected in expected_of("genome_crossover", case["case"]).items():
        merged = ties_of_factors([first[name], second[name]], weights, case["density"])
        torch.testing.assert_close(merged, expected, rtol=0, atol=1e-6)


def test_adapters_are_merged_by_ties_factor_by_factor(tmp_path: Path) -> None:
    first = save_adapter(tmp_path / "a", 0)
    second = save_adapter(tmp_path / "b", 1, "model.layers.0.q_proj")
    merge_adapters(order_for(tmp_path / "out", first, second, method="ties", weights=(0.7, 0.3), density=0.5))
    merged = load_file(tmp_path / "out" / "adapter_model.safetensors")
    factors = [read_adapter(folder).factors["model.layers.0.q_proj"] for folder in (first, second)]
    name = f"{PREFIX}model.layers.0.q_proj.lora_B.weight"
    expected = ties_of_factors([factor.up for factor in factors], (0.7, 0.3), 0.5)
    torch.testing.assert_close(merged[name], expected)
    alone = ties_of_factors([read_adapter(first).factors["model.layers.1.q_proj"].down], (0.7,), 0.5)
    torch.testing.assert_close(merged[f"{PREFIX}model.layers.1.q_proj.lora_A.weight"], alone)


def test_what_ties_cannot_merge_is_refused(tmp_path: Path) -> None:
    first, second = save_adapter(tmp_path / "a", 0), save_adapter(tmp_path / "b", 1, rank=2)
    with pytest.raises(MismatchError, match="ranks 2, 4"):
        merge_adapters(order_for(tmp_path / "out", first, second, method="ties"))
    with pytest.raises(MergeError, match="1 for 2 adapters"):
        merge_adapters(order_for(tmp_path / "out", first, first, method="ties", weights=(1.0,)))
    with pytest.raises(MismatchError, match=r"shapes \[2\] and \[3\]"):
        ties_of_factors([torch.ones(2), torch.ones(3)], (1.0, 1.0), 1.0)
    assert not (tmp_path / "out").exists()
