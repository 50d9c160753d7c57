from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from service.cli.exits import Exit
from service.cli.program import app
from tests.tiny_models import save_tiny_model


def evomerge(*arguments: object, code: int = Exit.OK) -> tuple[str, str]:
    """Calls the command in this process; returns stdout and stderr."""
    result = CliRunner().invoke(
        app, [str(a) for a in arguments], env={"COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    )
    assert result.exit_code == code, f"{result.exit_code}: {result.output} {result.exception!r}"
    return result.stdout, result.stderr


def test_align_writes_a_checkpoint_and_says_what_moved(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    said, notes = evomerge(
        "align", tiny_parents["left"], "--to", tiny_parents["base"], "--out", tmp_path / "out"
    )
    assert said.strip() == str(tmp_path / "out")
    assert "units_moved" in notes
    assert "digest" in notes
    before, after = (load_file(f / "model.safetensors") for f in (tiny_parents["left"], tmp_path / "out"))
    assert before.keys() == after.keys()
    assert not torch.equal(
        before["model.layers.0.mlp.up_proj.weight"], after["model.layers.0.mlp.up_proj.weight"]
    )
    report = json.loads((tmp_path / "out" / "evomerge_operation.json").read_text())
    assert report["operation"] == "weight matching"


def test_a_partial_merge_is_wider(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    evomerge(
        "partial-merge",
        tiny_parents["left"],
        tiny_parents["right"],
        "--ratio",
        "0.5",
        "--out",
        tmp_path / "o",
    )
    assert json.loads((tmp_path / "o" / "config.json").read_text())["intermediate_size"] == 36


def test_a_transplant_of_the_same_vocabulary_keeps_the_body(
    tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    evomerge(
        *("transplant", tiny_parents["left"], "--vocabulary", tiny_parents["right"], "--method", "direct"),
        *("--out", tmp_path / "out"),
    )
    left, right, made = (
        load_file(folder / "model.safetensors")
        for folder in (tiny_parents["left"], tiny_parents["right"], tmp_path / "out")
    )
    assert torch.equal(made["model.norm.weight"], left["model.norm.weight"])
    assert torch.equal(made["lm_head.weight"], right["lm_head.weight"])


def test_adapters_are_merged_into_one(tmp_path: Path) -> None:
    folders = []
    for number in range(2):
        folder = tmp_path / f"adapter{number}"
        folder.mkdir()
        stem = "base_model.model.model.layers.0.self_attn.q_proj"
        tensors = {
            f"{stem}.lora_A.weight": torch.randn(2, 4, generator=torch.Generator().manual_seed(number)),
            f"{stem}.lora_B.weight": torch.ones(3, 2),
        }
        save_file(tensors, folder / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": "b"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        folders.append(folder)
    evomerge("merge-adapters", *folders, "--rank", "3", "--no-output-reweighting", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["r"] == 3


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("align", "{left}", "--to", "{missing}"), "no folder", Exit.INVALID),
        (("align", "{left}", "--to", "{qwen}"), "architecture", Exit.INVALID),
        (("merge-experts", "{left}", "--experts", "2"), "no experts with a router", Exit.INVALID),
        (("merge-adapters", "{left}"), "has no adapter_config.json", Exit.INVALID),
        (("transplant", "{left}", "--vocabulary", "{right}"), "overlap needs it", Exit.FAILED),
        (
            ("partial-merge", "{left}", "{right}", "--texts", "{missing}"),
            "no file of a sensible size",
            Exit.INVALID,
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_two_lines_and_nothing_is_written(
    arguments: tuple[str, ...], words: str, code: Exit, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    names = {**tiny_parents, "missing": tmp_path / "missing"}
    if "{qwen}" in arguments:
        names["qwen"] = save_tiny_model(tmp_path / "qwen", 0, architecture="qwen2")
    filled = [argument.format(**names) for argument in arguments]
    _, notes = evomerge(*filled, "--out", tmp_path / "out", code=code)
    assert words in notes
    assert "Traceback" not in notes
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_model_is_a_mistake_of_the_caller(
    tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    _, notes = evomerge(
        "align",
        "s3://bucket/model",
        "--to",
        tiny_parents["base"],
        "--out",
        tmp_path / "out",
        code=Exit.INVALID,
    )
    assert "s3://bucket/model" in notes


def test_the_commands_module_needs_no_torch() -> None:
    script = (
        "import service.cli.models.transform, sys; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
