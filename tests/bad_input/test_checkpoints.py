"""Checkpoints that are broken or hostile: refused by merge and preflight, and nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from service.cli.program import app
from tests.bad_input.breakage import BROKEN, INDEX, WEIGHTS, index, weights
from tests.bad_input.refusals import refusal
from tests.tiny_models import save_tiny_model

# What only the numbers show, which a preflight does not read.
SEEN_IN_WEIGHTS = ("C26", "C27")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sound parents and a recipe that averages them."""
    root = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(("left", "right")):
        save_tiny_model(root / name, seed)
    (root / "recipe.yml").write_text(
        "merge_method: linear\nmodels:\n- {model: ./left, parameters: {weight: 0.5}}\n"
        "- {model: ./right, parameters: {weight: 0.5}}\n"
    )
    return root


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def merge(folder: Path) -> str:
    result = CliRunner().invoke(app, ["merge", str(folder / "recipe.yml"), str(folder / "out")])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_parent_is_refused_and_nothing_is_written(name: str, folder: Path) -> None:
    breaking, words = BROKEN[name]
    breaking(folder / "right")
    assert words in refusal("merge", str(folder / "recipe.yml"), str(folder / "out"), within=folder)
    if not name.startswith(SEEN_IN_WEIGHTS):
        assert words in refusal("preflight", str(folder / "recipe.yml"), within=folder)
    assert not Path("evomerge-canary").exists()


def test_odd_numbers_are_numbers(folder: Path) -> None:
    """C27: subnormal numbers and negative zeros."""
    odd = torch.tensor([1e-40, -0.0, -2.8e-45, 0.0] * 4)
    for parent in ("left", "right"):
        weights(lambda w: w.update({"model.norm.weight": odd}))(folder / parent)
    merge(folder)
    assert torch.equal(load_file(folder / "out" / WEIGHTS)["model.norm.weight"], odd)


def test_a_total_size_that_lies_changes_nothing(folder: Path) -> None:
    """C41: what files hold counts, not what the index says of their size."""
    index(lambda content: content.update(metadata={"total_size": 10**18}))(folder / "right")
    merge(folder)
    assert not (folder / "out" / INDEX).exists()


def test_a_chat_template_is_copied_and_never_run(folder: Path) -> None:
    """C46: a template that does not end."""
    template = "{% for i in range(10 ** 9) %}{% for j in range(10 ** 9) %}x{% endfor %}{% endfor %}"
    (folder / "left" / "chat_template.jinja").write_text(template)
    merge(folder)
    assert (folder / "out" / "chat_template.jinja").read_text() == template


def test_equal_parents_are_told(folder: Path) -> None:
    """C54: a parent twice, under two names."""
    shutil.copy(folder / "left" / WEIGHTS, folder / "right" / WEIGHTS)
    result = CliRunner().invoke(app, ["preflight", str(folder / "recipe.yml")])
    assert result.exit_code == 0
    assert "see whether it is the same model twice" in " ".join(result.output.split())


def test_a_flipped_bit_in_a_header_is_seen(folder: Path) -> None:
    """C52: whichever byte of the header it is in; the numbers themselves carry no check."""
    path = folder / "right" / WEIGHTS
    content = path.read_bytes()
    for place in (1, 8, 12, 40):
        broken = bytearray(content)
        broken[place] ^= 0x40
        path.write_bytes(broken)
        refusal("preflight", str(folder / "recipe.yml"), within=folder)
    save_file(load_file(folder / "left" / WEIGHTS), path)
