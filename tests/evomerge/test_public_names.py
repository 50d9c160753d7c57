from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import evomerge
from evomerge import Client, ExperimentSpec, Recipe, WorkerError, evaluate, merge, read_recipe, write_recipe
from tests.conftest import REPOSITORY
from tests.tiny_models import write_word_task

RECIPE = """
merge_method: linear
models:
  - {{model: {left}, parameters: {{weight: 0.5}}}}
  - {{model: {right}, parameters: {{weight: 0.5}}}}
"""


def test_every_public_name_is_what_its_module_says() -> None:
    for name in evomerge.__all__:
        assert getattr(evomerge, name).__name__ == name
    assert set(evomerge.__all__) <= set(dir(evomerge))


def test_type_checkers_see_the_same_names_of_the_same_modules() -> None:
    tree = ast.parse(Path(evomerge.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        name.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert sorted(seen) == evomerge.__all__
    for name, module in seen.items():
        assert getattr(evomerge, name) is getattr(sys.modules[str(module)], name)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="'Merger'; it has: ApiError, AsyncClient, Client"):
        evomerge.Merger  # type: ignore[attr-defined]  # noqa: B018


def test_importing_names_imports_no_torch() -> None:
    code = (
        "import sys, evomerge; first = {'pydantic', 'httpx'} & set(sys.modules)\n"
        "from evomerge import *\n"
        "sys.exit(str(first or {'torch', 'transformers', 'lm_eval', 'ray'} & set(sys.modules) or '') or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_recipe_is_read_merged_and_written(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    recipe = read_recipe(RECIPE.format(left=tiny_parents["left"], right=tiny_parents["right"]))
    assert isinstance(recipe, Recipe)
    made = merge(recipe, tmp_path / "merged")
    assert (tmp_path / "merged" / "model.safetensors").stat().st_size <= made.bytes
    assert read_recipe(write_recipe(recipe)).digest == recipe.digest


def test_a_merge_that_cannot_be_done_says_why(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    recipe = read_recipe(RECIPE.format(left=tiny_parents["left"], right=tmp_path / "missing"))
    with pytest.raises(WorkerError, match="missing"):
        merge(recipe, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_checkpoint_is_evaluated(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    folder = write_word_task(tmp_path / "tasks")
    found = evaluate(
        tiny_parents["left"], "words", tasks_path=[folder], parents=[tiny_parents["right"]], limit=4
    )
    assert "words" in found.models[0].table
    assert found.differences[0].items == 4


def test_a_spec_can_be_sent_as_it_is() -> None:
    spec = ExperimentSpec.model_validate(
        {
            "name": "small",
            "parents": ["org/left", "org/right"],
            "objectives": [{"task": "arc_easy"}],
            "budget": {"candidates": 12},
        }
    )
    received: list[ExperimentSpec] = []

    def answer(request: httpx.Request) -> httpx.Response:
        received.append(ExperimentSpec.model_validate_json(request.content))
        empty = dict.fromkeys(("mistakes", "warnings", "genes", "baselines", "objectives"), ())
        found = {**empty, "valid": True, "spec": None, "parameters": None, "parent_bytes": None}
        return httpx.Response(200, json=found)

    with Client("http://127.0.0.1:8000", transport=httpx.MockTransport(answer)) as client:
        assert client.validate(spec).valid
    assert received == [spec]
