"""`evomerge compose` writes recipes that `evomerge merge` reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.named_recipes import chat_vector, g_stack, layer_swap, portllm_patch, self_merge
from service.cli.exits import Exit
from service.cli.models.compose import compose
from service.cli.program import app
from tests.service.paper_checkpoints import write_checkpoint

NAMES = sorted(
    (command.callback.__name__ if command.callback else "").replace("_", "-")
    for command in compose.registered_commands
)


def evomerge(*arguments: object, code: int = Exit.OK) -> str:
    """Returns stdout; with another code expected, stderr."""
    result = CliRunner().invoke(app, ["compose", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, f"{result.exit_code}: {result.output} {result.exception!r}"
    return result.stdout if code == Exit.OK else result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_named_recipe_explains_itself(name: str) -> None:
    assert f" compose {name} [OPTIONS]" in evomerge(name, "--help")
    assert f"  {name} " in evomerge("--help")


def test_the_yaml_is_the_recipe_of_the_function() -> None:
    written = evomerge("chat-vector", "org/base", "org/chat", "org/japanese", "--scale", 0.5)
    assert read_recipe(written) == chat_vector("org/base", "org/chat", "org/japanese", 0.5)
    written = evomerge("g-stack", "org/a", "--layers", 6, "--times", 4)
    assert read_recipe(written) == g_stack("org/a", 6, 4)
    written = evomerge("self-merge", "org/a", "--layers", 9, "--window", 4, "--stride", 2)
    assert read_recipe(written) == self_merge("org/a", 9, window=4, stride=2)
    written = evomerge("portllm-patch", "org/base", "org/base+org/adapter", "org/base@v2")
    assert read_recipe(written) == portllm_patch("org/base", "org/base+org/adapter", "org/base@v2")
    assert read_recipe(evomerge("uniform-soup", "org/a", "org/b", "--dtype", "bfloat16")).dtype == "bfloat16"


def test_a_file_takes_folders_from_where_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "left").mkdir()
    (tmp_path / "recipes").mkdir()
    evomerge("task-negation", "org/base", "left", "--out", "recipes/negation.yml")
    recipe = read_recipe((tmp_path / "recipes" / "negation.yml").read_text())
    assert recipe.slices[0].sources[0].parent.model == str(tmp_path / "left")
    patched = read_recipe(evomerge("portllm-patch", "org/base", "./left+./adapter", "org/new"))
    tuned = patched.slices[0].sources[1].parent
    assert (tuned.model, tuned.adapter) == (str(tmp_path / "left"), str(tmp_path / "adapter"))


def test_the_number_of_layers_is_looked_up(tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "model", layers=6)
    written = evomerge("layer-swap", "org/language", model, "--bottom", 1, "--top", 2)
    assert read_recipe(written) == layer_swap("org/language", str(model), 6, bottom=1, top=2)


def test_mistakes_are_told_with_a_remedy() -> None:
    said = evomerge(
        "layer-swap", "org/a", "org/b", "--layers", 4, "--bottom", 3, "--top", 2, code=Exit.INVALID
    )
    assert "swap no more layers than there are" in said
    assert "is an address" in evomerge("uniform-soup", "http://a/b", code=Exit.INVALID)
    assert "Traceback" not in evomerge("g-stack", "./nowhere", code=Exit.INVALID)
    assert "check the path" in evomerge(
        "uniform-soup", "org/a", "--out", "/no/folder/x.yml", code=Exit.FAILED
    )
