"""Models of a pool are chosen by what they get right together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.exits import Exit
from service.cli.program import app


def test_a_pool_is_asked_compared_and_ordered(tiny_parents: dict[str, Path], word_task: Path) -> None:
    folder = tiny_parents["base"].parent
    words = ["select", str(folder), "--base", str(tiny_parents["base"]), "--tasks", "words"]
    said = CliRunner().invoke(app, [*words, "--tasks-path", str(word_task), "--json"])
    assert said.exit_code == Exit.OK, said.output
    found = json.loads(said.stdout)
    assert {Path(each["model"]).name for each in found["steps"]} == {"left", "right"}
    first, second = found["steps"]
    assert second["ceiling"] == pytest.approx(first["alone"] + second["gain"])
    assert second["likeness"] == found["kinship"][0]["correlation"]
    assert found["proposed"][0] == first["model"]
    assert found["items"] == {"words": 12}


@pytest.mark.parametrize(
    ("pool", "part"), [(["left"], "a pool of 1 is no choice"), ([], "holds no model's folder")]
)
def test_what_is_no_pool_is_refused_before_any_model_is_asked(
    pool: list[str], part: str, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    named = [str(tiny_parents[name]) for name in pool] or [str(tmp_path)]
    said = CliRunner().invoke(app, ["select", *named, "--tasks", "words"])
    assert said.exit_code == Exit.INVALID
    assert part in said.output
