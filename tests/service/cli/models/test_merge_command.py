"""`evomerge merge` as mergekit's users give it: its flags, recipes with oddities, several in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner, Result

from service.cli.program import app

EMBEDDINGS = "model.embed_tokens.weight"


def evomerge(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def weights(folder: Path) -> dict[str, Tensor]:
    """Returns a model's tensors in float64."""
    return {name: tensor.double() for name, tensor in load_file(folder / "model.safetensors").items()}


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yml"
    path.write_text(text)
    return path


def average(parents: Mapping[str, Path], more: str = "") -> str:
    return (
        "merge_method: linear\nmodels:\n"
        f"- {{model: {parents['left']}, parameters: {{weight: 1}}}}\n"
        f"- {{model: {parents['right']}, parameters: {{weight: '3'}}}}\n{more}"
    )


def test_mergekits_flags_are_accepted_with_a_note_and_the_merge_is_the_same(
    tiny_parents: Mapping[str, Path], tmp_path: Path
) -> None:
    recipe = written(tmp_path, average(tiny_parents))
    flags = ["--allow-crimes", "--lazy-unpickle", "--no-copy-tokenizer", "--trust-remote-code", "-j", "4"]
    flags += ["--low-cpu-memory", "--clone-tensors", "--transformers-cache", "x", "--out-shard-size", "1B"]
    result = evomerge("merge", *flags, recipe, tmp_path / "out", "--random-seed", 3, "-v", "-v")
    assert result.exit_code == 0, result.output
    for flag in flags:
        assert not flag.startswith("--") or flag in result.output
    assert "--no-copy-tokenizer is mergekit's" in result.output
    left, right = weights(tiny_parents["left"]), weights(tiny_parents["right"])
    for name, tensor in weights(tmp_path / "out").items():
        torch.testing.assert_close(tensor, (left[name] + 3 * right[name]) / 4, rtol=1e-6, atol=1e-6)
    unknown = evomerge("merge", recipe, tmp_path / "none", "--allow-crime")
    assert unknown.exit_code == 2
    assert "No such option" in unknown.output
    absent = evomerge("merge", recipe, tmp_path / "none", "--device", "cuda:99")
    assert absent.exit_code != 0
    assert "there is no cuda:99" in absent.output


def test_what_is_not_read_is_told_and_with_strict_refused_before_anything_is_written(
    tiny_parents: Mapping[str, Path], tmp_path: Path
) -> None:
    recipe = written(tmp_path, average(tiny_parents, "name: mine\nparameters: {embed_slerp: true}\n"))
    refused = evomerge("merge", recipe, tmp_path / "out", "--strict")
    assert refused.exit_code == 3
    assert "line 5: name" in refused.output
    assert not (tmp_path / "out").exists()
    assert evomerge("preflight", recipe, "--strict").exit_code == 3
    accepted = evomerge("merge", recipe, tmp_path / "out")
    assert accepted.exit_code == 0
    assert f"Warning: {recipe}, line 6: parameters.embed_slerp" in accepted.output


def test_a_filter_of_other_models_is_told_and_a_misspelt_one_is_refused(
    tiny_parents: Mapping[str, Path], tmp_path: Path
) -> None:
    def over(name: str) -> Path:
        weight = f"[{{filter: {name}, value: 2}}, {{value: 3}}]"
        return written(tmp_path, average(tiny_parents).replace("'3'", weight))

    assert "'mpl' is part of no tensor's name" in evomerge("merge", over("mpl"), tmp_path / "out").output
    assert evomerge("merge", over("c_attn"), tmp_path / "out", "--strict").exit_code != 0
    assert not (tmp_path / "out").exists()
    assert "'c_attn' is part of no tensor's name" in evomerge("preflight", over("c_attn")).output
    assert evomerge("merge", over("c_attn"), tmp_path / "out").exit_code == 0


CHAIN = """\
name: halfway
merge_method: linear
models:
- {{model: {left}, parameters: {{weight: 1}}}}
- {{model: {right}, parameters: {{weight: 1}}}}
---
merge_method: task_arithmetic
base_model: {base}
models:
- {{model: halfway, parameters: {{weight: 0.5}}}}
"""


def test_merges_of_one_file_feed_each_other(tiny_parents: Mapping[str, Path], tmp_path: Path) -> None:
    recipe = written(tmp_path, CHAIN.format(**tiny_parents))
    result = evomerge("merge", recipe, tmp_path / "out")
    assert result.exit_code == 0, result.output
    base, left, right = (weights(tiny_parents[name]) for name in ("base", "left", "right"))
    for name, tensor in weights(tmp_path / "out").items():
        halfway = (left[name] + right[name]) / 2
        expected = base[name] + 0.5 * (halfway - base[name])
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6)
    assert not (tmp_path / "out.merges").exists()
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")

    kept = ("merge", recipe, tmp_path / "again", "-I", tmp_path / "parts")
    assert evomerge(*kept).exit_code == 0
    assert (tmp_path / "parts" / "halfway" / "config.json").is_file()
    assert "is made already" in evomerge(*kept, "--replace").output
    assert "exists already" in evomerge(*kept).output
    assert evomerge("preflight", recipe).exit_code == 0


def test_several_final_merges_get_a_folder_each(tiny_parents: Mapping[str, Path], tmp_path: Path) -> None:
    text = "name: one\n" + average(tiny_parents) + "---\nname: two\n" + average(tiny_parents)
    assert evomerge("merge", written(tmp_path, text), tmp_path / "out").exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one", "two"}


def test_rows_of_single_tokens_come_from_where_the_recipe_says(
    tiny_parents: Mapping[str, Path], tmp_path: Path
) -> None:
    left, right = tiny_parents["left"], tiny_parents["right"]
    tokens = (
        f"base_model: {left}\nchat_template: chatml\ntokenizer:\n  source: base\n  tokens:\n"
        "    <|im_start|>: {source: {kind: zero}}\n"
        f"    <|im_end|>: {{source: {{kind: model_token, model: {right}, token: w3}}}}\n"
        f"    w5: {{source: {left}, force: true}}\n"
    )
    result = evomerge("merge", written(tmp_path, average(tiny_parents, tokens)), tmp_path / "out")
    assert result.exit_code == 0, result.output
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = {
        token: tokenizer.convert_tokens_to_ids(token) for token in ("<|im_start|>", "<|im_end|>", "w3", "w5")
    }
    assert [ids["<|im_start|>"], ids["<|im_end|>"]] == [32, 33]
    told = tokenizer.apply_chat_template([{"role": "user", "content": "w1"}], tokenize=False)
    assert told == "<|im_start|>user\nw1<|im_end|>\n"

    mine, theirs = weights(left)[EMBEDDINGS], weights(right)[EMBEDDINGS]
    merged = weights(tmp_path / "out")[EMBEDDINGS]
    assert merged.shape[0] == 34
    expected = torch.cat([(mine + 3 * theirs) / 4, torch.zeros(1, 16), theirs[ids["w3"]][None]])
    expected[ids["w5"]] = mine[ids["w5"]]
    torch.testing.assert_close(merged, expected, rtol=1e-6, atol=1e-6)
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")


def test_slerp_begins_at_a_base_that_is_not_listed(tiny_parents: Mapping[str, Path], tmp_path: Path) -> None:
    base, left = tiny_parents["base"], tiny_parents["left"]
    text = f"merge_method: slerp\nbase_model: {base}\nmodels: [{{model: {left}}}]\nparameters: {{t: 0.3}}\n"
    assert evomerge("merge", written(tmp_path, text), tmp_path / "out").exit_code == 0
    merged, first, second = weights(tmp_path / "out"), weights(base), weights(left)
    for name, tensor in merged.items():
        cosine = (first[name] * second[name]).sum() / first[name].norm() / second[name].norm()
        angle = torch.arccos(cosine.clamp(-1, 1))
        shares = torch.sin(0.7 * angle) / torch.sin(angle), torch.sin(0.3 * angle) / torch.sin(angle)
        if cosine.abs() > 0.9995:
            shares = torch.tensor(0.7), torch.tensor(0.3)
        expected = shares[0] * first[name] + shares[1] * second[name]
        torch.testing.assert_close(tensor, expected.double(), rtol=1e-5, atol=1e-6)
