"""`evomerge init` and `evomerge schema`: files to begin with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from service.cli.exits import Exit
from service.cli.program import app
from service.client.client import Client
from service.experiment.spec import ExperimentSpec
from service.specification.commented_spec import COMMENTS
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, serving, spec_over

Parents = dict[str, Path]
alone = Command("http://127.0.0.1:9")  # asks no service
FIRST_LINE = "# yaml-language-server: $schema=evomerge.schema.json"
RECIPE = """\
merge_method: ties
base_model: models/base
models:
- {model: models/left, parameters: {weight: 0.5, density: 0.5}}
- {model: models/right, parameters: {weight: 0.5, density: 0.5}}
"""


@pytest.fixture
def folder(tmp_path: Path, paper_parents: Parents, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, place in paper_parents.items():
        shutil.copytree(place, tmp_path / "models" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with serving(tmp_path / "home", ControlledWorkforce()) as url, Client(url) as found:
        yield found


def read(path: Path) -> dict[str, Any]:
    """Returns what a written file says; its first line and its schema must be right."""
    assert path.read_text().startswith(FIRST_LINE)
    schema = json.loads((path.parent / "evomerge.schema.json").read_text())
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    jsonschema.validate(content, schema)
    return content


def test_models_and_tasks_make_a_commented_file_that_runs(folder: Path, client: Client) -> None:
    models = ("--models", "models/left", "models/right", "--base", "models/base")
    alone("init", *models, "--tasks", "words", "sums", "--out", folder / "specs" / "first.yml")
    path = folder / "specs" / "first.yml"
    content = read(path)
    assert content["parents"] == ["./../models/left", "./../models/right"]
    assert [objective["task"] for objective in content["objectives"]] == ["words", "sums"]
    text = path.read_text()
    assert all(f"# {COMMENTS[key].splitlines()[0]}\n" in text for key in content)
    assert "objective sums" in Command(client.url)("check", path)


def test_what_is_not_said_is_asked(folder: Path, client: Client) -> None:
    answers = "models/left models/right\n\nwords sums\n"
    assert CliRunner().invoke(app, ["init"], input=answers).exit_code == Exit.OK
    content = read(folder / "experiment.yml")
    assert (content["name"], content["space"]["method"], "base" in content) == ("experiment", "linear", False)
    assert len(content["objectives"]) == 2
    assert "objective sums" in Command(client.url)("check", "experiment.yml")
    assert "there is no answer" in alone("init", "--out", "other.yml", code=Exit.USAGE)


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(folder: Path) -> None:
    said = ("init", "--models", "a/b", "c/d", "--tasks", "words")
    alone(*said)
    assert "--replace" in alone(*said, code=Exit.CONFLICT)
    alone(*said, "--replace")
    assert read(folder / "experiment.yml")["parents"] == ["a/b", "c/d"]


def test_a_genome_file_becomes_a_file_of_our_own_with_what_was_said_of_it(
    folder: Path, client: Client
) -> None:
    genome = {"models": ["models/left", "models/right"], "merge_method": "linear", "layer_granularity": 1}
    (folder / "evolve.yml").write_text(yaml.safe_dump({"genome": genome, "tasks": ["words"]}))
    alone("init", "--from", "evolve.yml")
    content = read(folder / "experiment.yml")
    assert content["space"] == {"kind": "mergekit_evolve", "method": "linear", "layer_granularity": 1}
    assert content["parents"] == [str(folder / "models" / name) for name in ("left", "right")]
    assert "# The merged model's chat template is applied" in (folder / "experiment.yml").read_text()
    evomerge = Command(client.url)
    assert "genes: 4" in evomerge("check", "evolve.yml")
    assert "genes: 4" in evomerge("check", "experiment.yml")


def test_a_recipe_becomes_an_experiment_over_its_models(folder: Path, client: Client) -> None:
    (folder / "recipe.yml").write_text(RECIPE + "name: mine\n")
    assert "Warning: recipe.yml, line 6: name" in alone.notes(
        "init", "--from", "recipe.yml", "--tasks", "words"
    )
    content = read(folder / "experiment.yml")
    assert content["space"]["method"] == "ties"
    assert "baselines: " in Command(client.url)("check", folder / "experiment.yml")
    alone("init", "--from", "experiment.yml", "--out", "x.yml", code=Exit.USAGE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RECIPE + "name: a\n---\n" + RECIPE, "holds 2 recipes"),
        (RECIPE.replace("ties", "tise"), "merge_method: unknown merge method 'tise'"),
        (None, "No such file"),
    ],
)
def test_what_no_experiment_can_be_made_from_is_refused_with_its_place(
    folder: Path, text: str | None, told: str
) -> None:
    if text is not None:
        (folder / "recipe.yml").write_text(text)
    assert told in alone("init", "--from", "recipe.yml", "--tasks", "words", code=Exit.INVALID)


def test_a_second_experiment_starts_from_the_first_ones_front(
    folder: Path, client: Client, paper_parents: Parents
) -> None:
    client.create(spec_over(paper_parents))
    ended(client, "small")
    evomerge = Command(client.url)
    evomerge("init", "--from-front", "small", "--out", "second.yml")
    content = read(folder / "second.yml")
    assert (content["name"], content["warm_start"]) == ("small-2", ["small"])
    assert content["seed"] != client.experiment("small").spec["seed"]
    first = ExperimentSpec.model_validate(spec_over(paper_parents))
    assert ExperimentSpec.model_validate(content).space == first.space
    assert "genes: 4" in evomerge("check", "second.yml")
    assert "no experiment" in evomerge("init", "--from-front", "smal", "--out", "x.yml", code=Exit.NOT_FOUND)


def test_the_schema_describes_what_editors_show() -> None:
    schema = json.loads(alone("schema"))
    jsonschema.Draft202012Validator.check_schema(schema)
    budget = schema["$defs"]["Budget"]["properties"]
    assert budget["candidates"]["description"].startswith("Evolved candidates")
    assert "name" not in schema["required"]
    jsonschema.validate({"parents": ["a", "b"], "objectives": [{"task": "t"}], "budget": {"candidates": 3},
                         "space": {"frozen": {}}}, schema)  # fmt: skip
