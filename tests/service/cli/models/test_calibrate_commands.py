from __future__ import annotations

from pathlib import Path

import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
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


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"w{i} w{i * 3 % 28} w{i * 5 % 28}\n" for i in range(12)))
    return path


def test_calibrate_writes_records_beside_the_model_and_says_where(tmp_path: Path, texts: Path) -> None:
    model = save_tiny_model(tmp_path / "model", 0)
    said, notes = evomerge("calibrate", model, "--texts", texts, "--texts-used", 5, "--device", "cpu")
    assert said.split() == [str(model / f"evomerge_{kind}.safetensors") for kind in ("fisher", "gram")]
    assert "5 texts, 15 tokens" in notes
    with safe_open(said.split()[0], framework="pt") as file:
        assert '"texts": 5' in file.metadata()["evomerge"]


def test_calibrate_writes_into_the_folder_that_is_asked_for(tmp_path: Path, texts: Path) -> None:
    model = save_tiny_model(tmp_path / "model", 0)
    said, _ = evomerge(
        "calibrate", model, "--texts", texts, "--record", "gram", "--out", tmp_path / "records"
    )
    assert said.strip() == str(tmp_path / "records" / "evomerge_gram.safetensors")
    assert not list(model.glob("evomerge_*"))


@pytest.mark.parametrize(
    ("record", "complaint"), [("routing", "no routers"), ("hessian", "is no record"), (",", "is no record")]
)
def test_calibrate_says_what_it_cannot_record(
    tiny_parents: dict[str, Path], texts: Path, record: str, complaint: str
) -> None:
    code = Exit.FAILED if record == "routing" else Exit.USAGE
    _, notes = evomerge("calibrate", tiny_parents["left"], "--texts", texts, "--record", record, code=code)
    assert complaint in notes


def test_calibrate_says_what_is_wrong_with_the_texts(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    _, notes = evomerge(
        "calibrate", tiny_parents["left"], "--texts", tmp_path / "empty.txt", code=Exit.FAILED
    )
    assert "holds no text" in notes
    assert "write one text per line" in notes


def test_calibrate_refuses_what_is_no_model(texts: Path) -> None:
    evomerge("calibrate", "https://example.org/model", "--texts", texts, code=Exit.INVALID)


@pytest.mark.parametrize("method", ["task_arithmetic", "self_positioning"])
def test_learn_writes_a_recipe(tiny_parents: dict[str, Path], texts: Path, method: str) -> None:
    said, notes = evomerge(
        *("learn", tiny_parents["left"], tiny_parents["right"], "--base", tiny_parents["base"]),
        *("--texts", texts, "--method", method, "--steps", 2, "--device", "cpu"),
    )
    recipe = read_recipe(said)
    assert recipe.method == method
    assert [Path(parent.model) for parent in recipe.all_parents] == [
        tiny_parents[name] for name in ("left", "right", "base")
    ]
    assert "entropy per token" in notes


def test_learn_takes_a_recipe_s_models(tiny_parents: dict[str, Path], texts: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yml"
    file.write_text(
        f"merge_method: ties\nbase_model: {tiny_parents['base']}\n"
        f"models: [{{model: {tiny_parents['left']}, parameters: {{weight: 1, density: 0.5}}}}]\n"
    )
    said, _ = evomerge("learn", file, "--texts", texts, "--steps", 1, "--scope", "task", "--device", "cpu")
    assert [Path(parent.model) for parent in read_recipe(said).all_parents] == [
        tiny_parents["left"],
        tiny_parents["base"],
    ]


def test_learn_without_a_base_is_refused(tiny_parents: dict[str, Path], texts: Path) -> None:
    _, notes = evomerge("learn", tiny_parents["left"], "--texts", texts, code=Exit.INVALID)
    assert "--base" in notes


def test_learn_refuses_a_recipe_with_mistakes(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yml").write_text("merge_method: nonsense\nmodels: []\n")
    evomerge("learn", tmp_path / "recipe.yml", "--texts", texts, code=Exit.INVALID)
    evomerge("learn", tmp_path / "nothing.yml", "--texts", texts, code=Exit.INVALID)


@pytest.mark.parametrize("command", ["calibrate", "learn"])
def test_help_shows_examples(command: str) -> None:
    said, _ = evomerge(command, "--help")
    assert f"evomerge {command} " in said
    assert "Examples:" in said
