from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from search_spaces import Parent
from tests.tiny_models import ARCHITECTURES, save_tiny_model
from workers.checkpoints.inspection import compare_layouts, inspect_checkpoint
from workers.checkpoints.layout import Layout
from workers.errors import CheckpointError


@pytest.fixture
def checkpoint(tiny_parents: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a tiny checkpoint, to break."""
    return Path(shutil.copytree(tiny_parents["base"], tmp_path / "broken"))


def inspect(folder: Path) -> Layout:
    return inspect_checkpoint(Parent(model=str(folder)))


def shard(folder: Path) -> dict[str, object]:
    """Turns a checkpoint of one file into one of an index and a shard; returns the index."""
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    names = inspect_single(folder / "part.safetensors")
    index: dict[str, object] = {"weight_map": dict.fromkeys(names, "part.safetensors")}
    write_index(folder, index)
    return index


def inspect_single(path: Path) -> list[str]:
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    return [name for name in header if name != "__metadata__"]


def write_index(folder: Path, index: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_header(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_layout_tells_layers_and_shapes_of_every_architecture(architecture: str, tmp_path: Path) -> None:
    layout = inspect(save_tiny_model(tmp_path / "model", 0, architecture=architecture, dtype=torch.bfloat16))
    layered = {layout.layer_of(name) for name in layout.tensors}
    assert layout.layers == 2
    assert layered == {None, 0, 1}
    assert {entry.dtype for entry in layout.tensors.values()} == {"BF16"}
    assert all(entry.file.is_file() for entry in layout.tensors.values())


def test_a_sharded_checkpoint_has_the_layout_of_the_whole_one(
    tiny_parents: dict[str, Path], checkpoint: Path
) -> None:
    shard(checkpoint)
    whole, sharded = inspect(tiny_parents["base"]), inspect(checkpoint)
    assert sharded.tensors.keys() == whole.tensors.keys()
    assert sharded.bytes == whole.bytes


def test_looking_at_a_checkpoint_reads_no_weights(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model", 0)
    entry = {"dtype": "BF16", "shape": [2**20, 2**19], "data_offsets": [0, 2**40]}
    header = {f"model.layers.{n}.w": entry for n in range(1)} | {
        "model.layers.1.w": dict(entry, data_offsets=[2**40, 2**41])
    }
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 2**41)  # two terabytes of nothing
    started = perf_counter()
    assert inspect(folder).bytes == 2**41
    assert perf_counter() - started < 2.0


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def only_pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def cut_inside_the_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:50])


def empty_file(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def bytes_at_the_end(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"more")


def garbage_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 8) + b"\xff{not it" + b"0" * 100)


def endless_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**63) + b"{}")


def pickle_renamed(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04\x95" + b"\x00" * 200)


def git_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )


def unknown_type(folder: Path) -> None:
    edit_header(folder, lambda header: header["model.norm.weight"].update(dtype="F4"))  # type: ignore[attr-defined]


def wrong_size(folder: Path) -> None:
    edit_header(folder, lambda header: header["model.norm.weight"].update(shape=[17]))  # type: ignore[attr-defined]


def many_dimensions(folder: Path) -> None:
    edit_header(folder, lambda header: header["model.norm.weight"].update(shape=[1] * 100_000))  # type: ignore[attr-defined]


def a_hole(folder: Path) -> None:
    edit_header(folder, lambda header: header.pop("lm_head.weight"))


def malformed_entry(folder: Path) -> None:
    edit_header(folder, lambda header: header.update({"model.norm.weight": "nothing"}))


def shard_outside(folder: Path) -> None:
    index = shard(folder)
    index["weight_map"]["model.norm.weight"] = "../part.safetensors"  # type: ignore[index]
    write_index(folder, index)


def shard_absent(folder: Path) -> None:
    index = shard(folder)
    index["weight_map"]["model.norm.weight"] = "other.safetensors"  # type: ignore[index]
    write_index(folder, index)


def tensor_absent(folder: Path) -> None:
    index = shard(folder)
    index["weight_map"]["model.norm.bias"] = "part.safetensors"  # type: ignore[index]
    write_index(folder, index)


def no_weight_map(folder: Path) -> None:
    shard(folder)
    write_index(folder, {"metadata": {}})


def config_not_json(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def code_of_its_own(folder: Path) -> None:
    edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Boom"})


def quantized(folder: Path) -> None:
    edit_config(folder, quantization_config={"quant_method": "gptq"})


def too_many_layers(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=10**9)


def other_layers(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=5)


BROKEN: dict[Callable[[Path], None], tuple[str, ...]] = {
    no_config: ("has no config.json", "save_pretrained"),
    only_pickles: ("pytorch_model.bin", "pickle", "save_pretrained"),
    no_weights: ("has no safetensors weights",),
    cut_short: ("model.safetensors", "is truncated"),
    cut_inside_the_header: ("is truncated", "50 bytes"),
    empty_file: ("is truncated", "0 bytes"),
    bytes_at_the_end: ("after its last tensor",),
    garbage_header: ("is not JSON",),
    endless_header: (f"header of {2**63} bytes",),
    pickle_renamed: ("is truncated",),
    git_pointer: ("Git LFS pointer", "git lfs pull"),
    unknown_type: ("'model.norm.weight'", "'F4'"),
    wrong_size: ("'model.norm.weight'", "[17]"),
    many_dimensions: ("'model.norm.weight'", "impossible shape"),
    a_hole: ("overlap or leave a hole",),
    malformed_entry: ("malformed header entry of 'model.norm.weight'",),
    shard_outside: ("'../part.safetensors'", "no plain file name"),
    shard_absent: ("other.safetensors is missing",),
    tensor_absent: ("no tensor 'model.norm.bias'",),
    no_weight_map: ("weight_map",),
    config_not_json: ("config.json", "is not JSON"),
    code_of_its_own: ("auto_map", "part of transformers"),
    quantized: ("quantized",),
    too_many_layers: ("num_hidden_layers is 1000000000",),
    other_layers: ("promises 5 layers", "{'model.layers.': 2}"),
}


@pytest.mark.parametrize("breakage", BROKEN, ids=lambda breakage: breakage.__name__)
def test_a_broken_checkpoint_is_refused_with_its_place_the_mistake_and_a_remedy(
    checkpoint: Path, breakage: Callable[[Path], None]
) -> None:
    breakage(checkpoint)
    with pytest.raises(CheckpointError) as caught:
        inspect(checkpoint)
    error = caught.value
    assert str(checkpoint) in error.field
    assert all(words in str(error) for words in BROKEN[breakage]), str(error)
    assert error.remedy


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no folder"):
        inspect(tmp_path / "nowhere")


def test_parents_of_one_kind_fit_together(tiny_parents: dict[str, Path]) -> None:
    assert compare_layouts([inspect(folder) for folder in tiny_parents.values()]) == []


def test_every_mismatch_is_reported_with_parent_value_and_remedy(
    tmp_path: Path, tiny_parents: dict[str, Path]
) -> None:
    wide = ARCHITECTURES["llama"].to_dict() | {"intermediate_size": 40}
    folders = [
        tiny_parents["base"],
        save_tiny_model(tmp_path / "gpt2", 0, architecture="gpt2"),
        _saved(tmp_path / "wide", **wide),
        _saved(tmp_path / "deep", **(ARCHITECTURES["llama"].to_dict() | {"num_hidden_layers": 3})),
        _saved(tmp_path / "wordy", **(ARCHITECTURES["llama"].to_dict() | {"vocab_size": 40})),
        _saved(tmp_path / "tied", **(ARCHITECTURES["llama"].to_dict() | {"tie_word_embeddings": True})),
    ]
    found = {Path(problem.field).name: problem for problem in compare_layouts([inspect(f) for f in folders])}
    expected = {
        "gpt2": "is a GPT2LMHeadModel",
        "wide": "'model.layers.0.mlp.down_proj.weight' has shape [16, 40]",
        "deep": "has 3 layers",
        "wordy": "has a vocabulary of 40 tokens",
        "tied": "tie_word_embeddings is True",
    }
    assert found.keys() == expected.keys()
    for name, words in expected.items():
        assert words in found[name].detail
        assert str(tiny_parents["base"]) in found[name].detail
        assert found[name].remedy


def test_tokenizers_that_name_tokens_differently_do_not_fit(
    tiny_parents: dict[str, Path], checkpoint: Path
) -> None:
    path = checkpoint / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["w1"], vocabulary["w2"] = vocabulary["w2"], vocabulary["w1"]
    path.write_text(json.dumps(content))
    (problem,) = compare_layouts([inspect(tiny_parents["base"]), inspect(checkpoint)])
    assert "2 tokens, such as 'w1'" in problem.detail
    assert "share a tokenizer" in problem.remedy


def _saved(folder: Path, **config: Any) -> Path:
    LlamaForCausalLM(LlamaConfig(**config)).save_pretrained(folder)
    return folder
