from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from tests.workers.operations.checkpoints import layout, logits, parent, save_model, save_shuffled, weights
from tests.workers.operations.golden_tensors import golden
from workers.errors import CheckpointError, MergeError, MismatchError, WorkerError
from workers.operations.partial_merging.partial_merge import (
    Partition,
    fit_output,
    merge_consumer,
    merge_producer,
    partition_units,
)
from workers.operations.partial_merging.partial_merge_models import partial_merge
from workers.operations.partial_merging.partial_merge_statistics import record_statistics, token_batches
from workers.operations.weight_matching import Group, match_weights, similarity
from workers.protocol.transform_orders import Destination, PartialMergeOrder


def statistics_of(hidden: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Z^T Z and Z^T Y."""
    wide = hidden.double()
    return wide.T @ wide, wide.T @ outputs.double()


GROUP: Group = (("layers.0.bias", 0), ("layers.0.weight", 0), ("layers.1.weight", 1))


@pytest.fixture
def pair() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    first, second = (golden("weight_matching", "inputs", f"mlp1_random_{side}") for side in "ab")
    return first, second


def partition(pair: tuple[dict[str, Tensor], dict[str, Tensor]], ratio: float) -> Partition:
    found = match_weights(*pair, [GROUP], np.random.default_rng(0))
    return partition_units(similarity(*pair, GROUP), found.permutations[0], ratio)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5])
def test_units_are_merged_and_kept_apart_as_by_the_authors(
    pair: tuple[dict[str, Tensor], dict[str, Tensor]], ratio: float
) -> None:
    expected = golden("pleas_partial_merge", "expected", f"ratio{ratio}")
    found = partition(pair, ratio)
    blocks = (found.merged_first, found.merged_second, found.separate_first, found.separate_second)
    for name, units in zip(("merged_a", "merged_b", "separate_a", "separate_b"), blocks, strict=True):
        assert units.tolist() == expected[f"block_{name}"].tolist()
    first, second = pair
    for name in ("layers.0.weight", "layers.0.bias"):
        merged = merge_producer(first[name], second[name], found, 0)
        torch.testing.assert_close(merged, expected[name], rtol=0, atol=1e-6)
    # The reference's last layer is a classifier's, which takes separate units whole.
    name = "layers.1.weight"
    merged = merge_consumer(first[name], second[name], found, 1, share=1.0)
    torch.testing.assert_close(merged, expected[name], rtol=0, atol=1e-6)


def test_with_all_units_but_one_apart_the_layer_computes_the_parents_average(
    pair: tuple[dict[str, Tensor], dict[str, Tensor]],
) -> None:
    found = partition(pair, 1.0)
    assert found.width == 24 * 2 - 1
    everything = Partition(
        torch.tensor([], dtype=torch.int64),
        torch.tensor([], dtype=torch.int64),
        torch.arange(24),
        torch.arange(24),
    )
    inputs = torch.randn(9, 16, generator=torch.Generator().manual_seed(0))

    def output(into: Tensor, bias: Tensor, out_of: Tensor) -> Tensor:
        return torch.relu(inputs @ into.T + bias) @ out_of.T

    names = ("layers.0.weight", "layers.0.bias", "layers.1.weight")
    merged = [
        (merge_consumer if name == names[2] else merge_producer)(
            pair[0][name], pair[1][name], everything, int(name == names[2])
        )
        for name in names
    ]
    average = (output(*(pair[0][n] for n in names)) + output(*(pair[1][n] for n in names))) / 2
    torch.testing.assert_close(output(*merged), average)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3, 1.0])
def test_the_width_does_not_depend_on_scores(ratio: float) -> None:
    ties, distinct = torch.zeros(11, 11), torch.diag(torch.arange(11.0))
    widths = {partition_units(scores, torch.arange(11), ratio).width for scores in (ties, distinct)}
    assert widths == {11 + round(ratio * 10)}


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_outside_its_range_is_refused(ratio: float) -> None:
    with pytest.raises(MergeError, match="not within 0 to 1"):
        partition_units(torch.zeros(2, 2), torch.arange(2), ratio)


def test_least_squares_finds_the_projection_that_made_the_outputs() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(200, 6, generator=generator).double()
    projection = torch.randn(3, 6, generator=generator).double()
    found = fit_output(*statistics_of(hidden, hidden @ projection.T), ridge=0.0)
    torch.testing.assert_close(found, projection)
    noisy = hidden @ projection.T + torch.randn(200, 3, generator=generator)
    best = fit_output(*statistics_of(hidden, noisy), ridge=0.0)
    torch.testing.assert_close(best, torch.linalg.lstsq(hidden, noisy).solution.T)
    ridged = fit_output(*statistics_of(hidden, noisy), ridge=0.1)
    assert ridged.norm() < best.norm()


def test_units_that_were_never_active_get_no_weight() -> None:
    hidden = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    hidden[:, 2] = 0
    found = fit_output(*statistics_of(hidden, hidden[:, :2]))
    assert torch.equal(found[:, 2], torch.zeros(2, dtype=torch.float64))
    silent = fit_output(torch.zeros(4, 4), torch.zeros(4, 2))
    assert torch.equal(silent, torch.zeros(2, 4, dtype=torch.float64))


def test_statistics_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MergeError, match="have shapes"):
        fit_output(torch.zeros(3, 3), torch.zeros(2, 2))
    with pytest.raises(MergeError, match="NaN"):
        fit_output(torch.full((2, 2), float("nan")), torch.zeros(2, 2))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi3", "opt", "qwen2", "gpt_neox"])
def test_a_model_merged_with_its_shuffled_self_is_the_model(architecture: str, tmp_path: Path) -> None:
    mine = save_model(tmp_path / "a", 0, architecture=architecture)
    save_shuffled(mine, tmp_path / "b", 1)
    for ratio, folder in ((0.0, "narrow"), (0.5, "wide")):
        order = PartialMergeOrder(
            parent(mine), parent(tmp_path / "b"), Destination(str(tmp_path / folder)), ratio
        )
        done = partial_merge(order)
        torch.testing.assert_close(logits(tmp_path / folder), logits(mine), rtol=0, atol=1e-5)
        assert json.loads(done.report)["settings"]["ratio"] == ratio
    before, after = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name).num_parameters() for name in ("a", "wide")
    )
    assert after >= before + 2 * 12 * 2 * 16  # two layers, twelve units more, in and out


def test_the_configuration_tells_the_new_width(tmp_path: Path) -> None:
    first, second = (save_model(tmp_path / str(n), n) for n in (0, 1))
    partial_merge(PartialMergeOrder(parent(first), parent(second), Destination(str(tmp_path / "out")), 0.25))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["intermediate_size"] == 24 + 6
    shape = layout(tmp_path / "out").tensors["model.layers.0.mlp.down_proj.weight"].shape
    assert shape == (16, 30)
    average = (weights(first)["model.embed_tokens.weight"] + weights(second)["model.embed_tokens.weight"]) / 2
    assert torch.equal(weights(tmp_path / "out")["model.embed_tokens.weight"], average)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_fitted_output_projections_answer_more_like_both_parents(architecture: str, tmp_path: Path) -> None:
    folders = [save_model(tmp_path / str(n), n, architecture=architecture) for n in (0, 1)]
    generator = torch.Generator().manual_seed(0)
    texts = tmp_path / "texts.txt"
    numbers = torch.randint(28, (40, 12), generator=generator).tolist()
    texts.write_text("\n".join(" ".join(f"w{number}" for number in line) for line in numbers))
    place = {name: Destination(str(tmp_path / name)) for name in ("plain", "fitted")}
    partial_merge(PartialMergeOrder(parent(folders[0]), parent(folders[1]), place["plain"], 0.25))
    partial_merge(
        PartialMergeOrder(parent(folders[0]), parent(folders[1]), place["fitted"], 0.25, texts=str(texts))
    )
    outputs = [
        name for name in weights(folders[0]) if name.endswith(("down_proj.weight", "mlp.c_proj.weight"))
    ]
    batches = token_batches(texts, folders[0], length=64, most=40)
    plain, fitted = (weights(tmp_path / name) for name in place)
    for name, (gram, cross) in record_statistics(tmp_path / "plain", folders, outputs, batches).items():
        error = {}
        for which, tensors in (("plain", plain), ("fitted", fitted)):
            projection = tensors[name].double()
            projection = projection.T if architecture == "gpt2" else projection  # [out, hidden]
            error[which] = float(
                torch.trace(projection @ gram @ projection.T) - 2 * torch.sum(projection.T * cross)
            )
        assert error["fitted"] < error["plain"]
    assert [name for name in plain if not torch.equal(plain[name], fitted[name])] == outputs
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "fitted", "plain", "texts.txt"]


def test_statistics_sum_over_tokens_what_the_models_say(tmp_path: Path) -> None:
    folders = [save_model(tmp_path / str(n), n, architecture="gpt_neox") for n in (0, 1)]
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    batches = [torch.arange(4, 12)[None], torch.arange(12, 15)[None]]
    seen: list[list[Tensor]] = []
    for folder in folders:
        model = AutoModelForCausalLM.from_pretrained(folder)
        seen_here: list[Tensor] = []
        module = model.get_submodule(name.removesuffix(".weight"))
        module.register_forward_hook(
            lambda _, inputs, __, seen_here=seen_here: seen_here.append(inputs[0][0].double())
        )
        with torch.no_grad():
            for batch in batches:
                model(batch)
        seen.append(seen_here)
    hidden = [torch.cat(seen_here) for seen_here in seen]
    answers = [h @ weights(folder)[name].double().T for h, folder in zip(hidden, folders, strict=True)]
    with torch.no_grad():
        gram, cross = record_statistics(folders[0], folders, [name], batches)[name]
    torch.testing.assert_close(gram, hidden[0].T @ hidden[0])
    torch.testing.assert_close(cross, hidden[0].T @ (answers[0] + answers[1]) / 2, rtol=0, atol=1e-4)


def test_texts_without_tokens_are_refused(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m", 0)
    for content, words in ((b"\n \n", "no tokens"), (b"\xff\xfe", "cannot be read")):
        (tmp_path / "texts").write_bytes(content)
        order = PartialMergeOrder(
            parent(model), parent(model), Destination(str(tmp_path / "out")), texts=str(tmp_path / "texts")
        )
        with pytest.raises(WorkerError, match=words):
            partial_merge(order)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "texts"]


def test_models_that_cannot_be_merged_so_are_refused(tmp_path: Path) -> None:
    llama, qwen, mixture = (
        save_model(tmp_path / name, 0, architecture=name) for name in ("llama", "qwen2", "mixtral")
    )
    place = Destination(str(tmp_path / "out"))
    for order, error, words in (
        (PartialMergeOrder(parent(llama), parent(qwen), place), MismatchError, "architecture"),
        (PartialMergeOrder(parent(mixture), parent(mixture), place), MismatchError, "mixture of experts"),
        (PartialMergeOrder(parent(llama), parent(llama), place, 1.5), MergeError, "ratio"),
        (PartialMergeOrder(parent(llama), parent(llama), place, texts="/none"), CheckpointError, "no file"),
    ):
        with pytest.raises(WorkerError, match=words) as caught:
            partial_merge(order)
        assert isinstance(caught.value, error)
    assert not (tmp_path / "out").exists()
