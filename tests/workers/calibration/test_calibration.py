"""What a calibration pass records, checked against the same thing computed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, MixtralConfig
from transformers.pytorch_utils import Conv1D

from search_spaces import Parent
from tests.tiny_models import WORDS, save_perturbed, save_tiny_model, tiny_tokenizer
from workers.calibration.calibrate import calibrate
from workers.calibration.fisher import draw_labels
from workers.calibration.open_network import open_network
from workers.calibration.records import Records
from workers.calibration.texts import draw_tokens, read_texts
from workers.checkpoints.hub.parent_files import fetch_layout
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.record_files import find_record, fingerprint, folder_for_records
from workers.errors import CheckpointError, MergeError, PreparationError, WorkerError
from workers.protocol.calibration_orders import CalibrationOrder, RecordKind, TextsToUse

LINES = [" ".join(f"w{(i * 7 + j * 3 + i * j) % 28}" for j in range(3 + i % 4)) for i in range(12)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVOMERGE_RECORDS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture(params=["llama", "gpt2", "gemma"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "model", 3, architecture=request.param)


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    folder = tmp_path / "mixture"
    torch.manual_seed(5)
    config = MixtralConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=64,
    )
    network = AutoModelForCausalLM.from_config(config)
    return save_perturbed(network, folder)


def order(folder: Path, texts: Path, *kinds: RecordKind, **said: int) -> CalibrationOrder:
    used = TextsToUse(str(texts), **{"count": 6, "length": 16, **said})
    return CalibrationOrder(Parent(model=str(folder)), used, kinds, device="cpu")


def tokens_used(folder: Path, texts: Path) -> list[Tensor]:
    return draw_tokens(TextsToUse(str(texts), 6, 16), tiny_tokenizer(), None)


def in_steps(network: nn.Module, names: dict[str, str], text: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yields the inputs of each linear layer, layer by layer: one forward pass per layer."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear | Conv1D) and f"{name}.weight" in names:
            seen: list[Tensor] = []
            handle = layer.register_forward_hook(lambda _l, inputs, _o, seen=seen: seen.append(inputs[0]))
            network(text[None])
            handle.remove()
            yield f"{name}.weight", seen[0][0]


def test_fisher_is_the_mean_of_the_squared_gradients_of_each_text(model: Path, texts: Path) -> None:
    (made,) = calibrate(order(model, texts, "fisher")).records
    found = load_file(made.file)
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    generator, used = torch.Generator().manual_seed(0), tokens_used(model, texts)
    parameters = dict(network.named_parameters())
    expected = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    for text in used:
        likelihood = network(text[None]).logits[0, :-1].log_softmax(-1)
        labels = draw_labels(likelihood.detach(), generator)
        score = sum(likelihood[i, label] for i, label in enumerate(labels)) / len(labels)
        gradients = torch.autograd.grad(score, list(parameters.values()))
        for name, gradient in zip(parameters, gradients, strict=True):
            expected[name] += gradient.square() / len(used)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-10, rtol=1e-4)
    assert max(float(tensor.max()) for tensor in found.values()) > 1e-6


def test_gram_is_the_product_of_the_inputs_of_each_linear_layer(model: Path, texts: Path) -> None:
    calibrate(order(model, texts, "gram"))
    parent = Parent(model=str(model))
    layout = inspect_checkpoint(parent)
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    inputs: dict[str, list[Tensor]] = {}
    with Records({parent: layout}) as records, torch.no_grad():
        for text in tokens_used(model, texts):
            for name, seen in in_steps(network, dict.fromkeys(layout.tensors, ""), text):
                inputs.setdefault(name, []).append(seen)
        assert len(inputs) >= 8
        for name, seen_XD in inputs.items():
            rows = torch.cat(seen_XD).double()
            gram = records.record(parent, "gram", name)
            assert gram is not None, name
            assert (gram.dim() == 3) == isinstance(network.get_submodule(name[: -len(".weight")]), Conv1D)
            torch.testing.assert_close(
                gram.reshape(gram.shape[-2:]).double(), rows.T @ rows / len(rows), atol=1e-5, rtol=1e-4
            )
        assert (
            records.record(parent, "gram", next(n for n in layout.tensors if "norm" in n or "ln" in n))
            is None
        )


def test_layers_that_read_the_same_share_one_gram_matrix_in_the_file(tmp_path: Path, texts: Path) -> None:
    model = save_tiny_model(tmp_path / "llama", 1)
    (made,) = calibrate(order(model, texts, "gram")).records
    stored = load_file(made.file)
    assert "model.layers.0.self_attn.q_proj.weight" in stored
    assert "model.layers.0.self_attn.k_proj.weight" not in stored
    assert made.tensors == 15  # seven layers twice, and the head


def test_fisher_of_a_mixture_has_the_checkpoint_s_names(mixture: Path, texts: Path) -> None:
    (made,) = calibrate(order(mixture, texts, "fisher")).records
    found, weights = load_file(made.file), load_file(mixture / "model.safetensors")
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in weights.items()}


def test_routing_counts_the_choices_and_compares_the_logits_of_every_router(
    mixture: Path, texts: Path
) -> None:
    (made,) = calibrate(order(mixture, texts, "routing")).records
    found = load_file(made.file)
    network = AutoModelForCausalLM.from_pretrained(mixture).eval()
    logits: list[list[Tensor]] = [[], []]
    with torch.no_grad():
        for text in tokens_used(mixture, texts):
            for layer, of_layer in enumerate(network(text[None], output_router_logits=True).router_logits):
                logits[layer].append(of_layer)
    for layer, seen in enumerate(logits):
        all_TE = torch.cat(seen).double()
        choices = torch.bincount(all_TE.topk(2, dim=-1).indices.flatten(), minlength=4).double()
        key = f"model.layers.{layer}.block_sparse_moe.gate"
        torch.testing.assert_close(found[f"{key}.frequency"], choices / choices.sum())
        unit = all_TE / all_TE.norm(dim=0)
        torch.testing.assert_close(found[f"{key}.similarity"], unit.T @ unit, atol=1e-5, rtol=1e-4)
    assert len(found) == 4


def test_routing_of_a_model_without_experts_is_refused_and_writes_nothing(
    tmp_path: Path, texts: Path
) -> None:
    model = save_tiny_model(tmp_path / "llama", 1)
    before = set(model.iterdir())
    with pytest.raises(MergeError, match="no routers"):
        calibrate(order(model, texts, "routing"))
    assert set(model.iterdir()) == before


def test_the_same_order_gives_the_same_bytes(tmp_path: Path, texts: Path) -> None:
    model = save_tiny_model(tmp_path / "llama", 1, dtype=torch.bfloat16)
    contents = []
    for _ in range(2):
        made = calibrate(order(model, texts, "fisher", "gram")).records
        contents.append([Path(record.file).read_bytes() for record in made])
    assert contents[0] == contents[1]


def test_another_seed_draws_other_texts_and_labels(tmp_path: Path, texts: Path) -> None:
    model = save_tiny_model(tmp_path / "llama", 1)
    found = []
    for seed in (0, 1):
        (made,) = calibrate(order(model, texts, "fisher", seed=seed)).records
        found.append(load_file(made.file)["model.norm.weight"])
    assert not torch.equal(found[0], found[1])


def test_progress_is_told_up_to_the_last_text(tmp_path: Path, texts: Path) -> None:
    reported: list[tuple[str, int, int]] = []
    wanted = order(save_tiny_model(tmp_path / "llama", 1), texts, "fisher", "gram")
    calibrate(wanted, lambda *said: reported.append(said))
    assert ("fisher", 6, 6) in reported
    assert reported[-1] == ("gram", 6, 6)


def test_labels_are_drawn_as_often_as_they_are_likely() -> None:
    likelihood = torch.tensor([0.1, 0.6, 0.3]).log().expand(20_000, 3)
    labels = draw_labels(likelihood, torch.Generator().manual_seed(0))
    shares = torch.bincount(labels, minlength=3) / len(labels)
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.015, rtol=0.0)


def test_a_record_of_other_weights_is_refused(tmp_path: Path, texts: Path) -> None:
    folder = save_tiny_model(tmp_path / "llama", 1)
    calibrate(order(folder, texts, "fisher"))
    save_tiny_model(folder, 2)
    parent = Parent(model=str(folder))
    with (
        Records({parent: inspect_checkpoint(parent)}) as records,
        pytest.raises(MergeError, match="made for other weights") as caught,
    ):
        records.record(parent, "fisher", "model.norm.weight")
    assert "evomerge calibrate" in caught.value.remedy


def test_a_parent_without_a_record_is_named_with_the_command_that_makes_one(tmp_path: Path) -> None:
    parent = Parent(model=str(save_tiny_model(tmp_path / "llama", 1)))
    with (
        Records({parent: inspect_checkpoint(parent)}) as records,
        pytest.raises(MergeError, match="has no gram record; run `evomerge calibrate") as caught,
    ):
        records.record(parent, "gram", "model.norm.weight")
    assert caught.value.field == str(parent)


@pytest.mark.parametrize("content", [b"", b"not a record", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_broken_record_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = save_tiny_model(tmp_path / "llama", 1)
    (folder / "evomerge_fisher.safetensors").write_bytes(content)
    parent = Parent(model=str(folder))
    with (
        Records({parent: inspect_checkpoint(parent)}) as records,
        pytest.raises(CheckpointError, match="no record"),
    ):
        records.record(parent, "fisher", "model.norm.weight")


def test_records_of_a_read_only_model_lie_in_the_users_folder(
    tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOMERGE_RECORDS", str(tmp_path / "records"))
    folder = save_tiny_model(tmp_path / "llama", 1)
    (made,) = calibrate(order(folder, texts, "fisher")).records
    layout = fetch_layout(Parent(model=str(folder)))
    assert Path(made.file).parent == folder_for_records(layout)
    assert (tmp_path / "records") in Path(made.file).parents
    assert find_record(layout, "fisher") == Path(made.file)
    assert not list(folder.glob("evomerge_*"))


def test_a_fingerprint_does_not_depend_on_where_a_model_lies(tmp_path: Path) -> None:
    one, same, other = (
        save_tiny_model(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    prints = [fingerprint(inspect_checkpoint(Parent(model=str(folder)))) for folder in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("texts.txt", b"", "holds no text"),
        ("texts.txt", b"\n  \n", "holds no text"),
        ("texts.txt", b"\xff\xfe\xff", "UTF-8"),
        ("texts.jsonl", b"not json\n", "is no JSON"),
        ("texts.jsonl", b'{"words": "w1 w2"}\n', "has no `text`"),
        ("texts.jsonl", b'{"text": 3}\n', "has no `text`"),
        ("texts.txt", b"w1\nw2\n", "none of its 2 texts has 2 tokens"),
    ],
)
def test_texts_that_cannot_be_used_are_refused(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PreparationError, match=complaint):
        calibrate(order(save_tiny_model(tmp_path / "llama", 1), path, "fisher"))


def test_a_missing_file_of_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match="cannot be read"):
        read_texts(tmp_path / "nothing.txt")


def test_texts_may_stand_in_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "w1 w2"}\n\n{"text": "w3\\nw4", "more": 1}\n')
    assert read_texts(path) == ["w1 w2", "w3\nw4"]


def test_texts_are_cut_to_what_the_model_can_read(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text(" ".join(["w1"] * 100) + "\n")
    network = open_network(
        fetch_layout(Parent(model=str(save_tiny_model(tmp_path / "gpt2", 1, architecture="gpt2")))),
        torch.device("cpu"),
    )
    (text,) = draw_tokens(TextsToUse(str(path), 4, 512), network.tokenizer, network.longest)
    assert len(text) == 64


def test_an_unknown_device_is_refused(tmp_path: Path, texts: Path) -> None:
    wanted = order(save_tiny_model(tmp_path / "llama", 1), texts, "gram")
    with pytest.raises(WorkerError, match="device"):
        calibrate(CalibrationOrder(wanted.parent, wanted.texts, wanted.kinds, device="abacus"))


def test_a_model_whose_gradients_are_no_numbers_gets_no_record(tmp_path: Path, texts: Path) -> None:
    folder = save_tiny_model(tmp_path / "llama", 1)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(PreparationError, match="NaN"):
        calibrate(order(folder, texts, "fisher"))
    assert not list(folder.glob("*evomerge_*"))
