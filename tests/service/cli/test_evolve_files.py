"""mergekit-evolve's files and flags, as its users type them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.cli.evolve_flags import FLAGS, taken_out
from service.cli.exits import Exit
from service.cli.experiments.evolve_results import BestConfig
from service.cli.spec_file import read_spec_file
from service.cli.terminal.output import CommandError
from service.client.client import Client
from service.specification.reading import read_spec
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, serving

Parents = dict[str, Path]
FILE = """\
genome:
  models:
  - models/left
  - models/right
  merge_method: dare_ties
  base_model: models/base
  layer_granularity: 1
tasks:
- name: words
  weight: 0.4
- sums
apply_chat_template: false
model_name: mine
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("home"), ControlledWorkforce()) as url, Client(url) as found:
        yield found


@pytest.fixture
def evomerge(client: Client) -> Command:
    return Command(client.url)


@pytest.fixture
def file(tmp_path: Path, paper_parents: Parents) -> Path:
    for name, folder in paper_parents.items():
        shutil.copytree(folder, tmp_path / "models" / name)
    return write(tmp_path / "evolve.yml", FILE)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_genome_file_runs_unchanged_and_leaves_the_best_recipe(
    evomerge: Command, client: Client, file: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    flags = ("--storage-path", store, "--max-fevals=8", "--in-memory", "-s", "pool", "--random-seed", 5)
    evomerge("run", *flags, file)
    spec = client.experiment("evolve").spec
    assert [o["task"] for o in spec["objectives"]] == ["words", "sums"]
    assert (spec["seed"], spec["space"]["seed"], spec["budget"]["candidates"]) == (5, 5, 8)
    assert spec["optimizer"]["population"] == 4
    text = (store / "best_config.yaml").read_text()
    assert read_recipe(text).dtype == "bfloat16"
    assert yaml.safe_load(text)["merge_method"]
    assert (store / "final_model" / "README.md").is_file()
    again = evomerge.notes("run", file, *flags)
    assert "evolve" in again


def test_without_a_storage_path_the_recipe_lies_in_the_home(
    evomerge: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("EVOMERGE_HOME", str(home))
    evomerge("run", file, "--name", "beside", "--max-fevals", 6)
    assert [path.name for path in (home / "beside").iterdir()] == ["best_config.yaml"]


def test_the_best_recipe_so_far_is_written_at_every_improvement(
    evomerge: Command, client: Client, file: Path, tmp_path: Path
) -> None:
    evomerge("run", file, "--name", "improving", "--max-fevals", 8, "--storage-path", tmp_path / "other")
    spec = read_spec_file(file, name="improving")
    best = BestConfig(client, spec, taken_out(["--storage-path", str(tmp_path / "store")], set())[0], None)
    done, place = client.experiment("improving"), tmp_path / "store" / "best_config.yaml"
    for number in (1, 5):  # two moments of the run
        best(done.model_copy(update={"progress": done.progress.model_copy(update={"best_number": number})}))
        header, _, recipe = place.read_text().partition("\n")
        assert header == f"# the best of improving so far, candidate {number}"
        assert recipe == client.recipe("improving", number)
    place.unlink()
    best(done.model_copy(update={"progress": done.progress.model_copy(update={"best_number": 5})}))
    assert not place.exists()  # it is no other than before


def test_weights_and_biases_is_a_tracker(
    evomerge: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags, _ = taken_out(["--wandb", "--wandb-project", "merges", "--wandb-entity=us"], set())
    assert flags.trackers == ["wandb:us/merges"]
    assert taken_out(["--wandb-project", "merges"], set())[0].trackers == []
    assert "'comet' names no tracker" in evomerge("run", file, "--log-to", "comet", code=Exit.USAGE)
    monkeypatch.setenv("EVOMERGE_HOME", str(tmp_path / "home"))
    evomerge("run", file, "--name", "shown", "--max-fevals", 6, "--log-to", f"tensorboard:{tmp_path / 'tb'}")
    assert [path.name.startswith("shown-") for path in (tmp_path / "tb").iterdir()] == [True]


def test_a_model_is_saved_where_there_is_a_place_unless_none_is_wanted() -> None:
    for arguments, saves in {
        ("--storage-path", "x"): True,
        ("--storage-path", "x", "--no-save-final-model"): False,
        ("--save-final-model",): True,
        (): False,
    }.items():
        assert taken_out(arguments, set())[0].saves_model is saves


def test_check_says_how_a_file_was_read_with_lines(evomerge: Command, file: Path) -> None:
    told = evomerge.notes("check", file)
    assert f"{file}:13: Warning: unknown key 'model_name'" in told
    assert f"{file}:8: each task's items are divided into three splits" in told
    assert "model_name" in evomerge("check", file, "--strict", code=Exit.INVALID)


def test_mistakes_name_the_places_of_the_genome_file(evomerge: Command, file: Path) -> None:
    wrong = FILE.replace("models/right", "./nowhere").replace("granularity: 1", "granularity: 3")
    told = evomerge("check", write(file, wrong.replace("- sums", "- sumz")), code=Exit.INVALID)
    assert f"{file}:4: /genome/models/1" in told
    assert f"{file}:7: /genome/layer_granularity: groups of 3 layers" in told
    assert f"{file}:11: /tasks/1/name" in told


def test_a_file_that_is_wrong_by_itself_needs_no_service(file: Path) -> None:
    told = Command(None)("check", write(file, FILE.replace("dare_ties", "dare_tise")), code=Exit.INVALID)
    assert f"{file}:5: /genome/merge_method: 'dare_tise'" in told


def test_paths_are_also_taken_from_where_mergekit_takes_them(
    evomerge: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = file.rename(tmp_path / "elsewhere" / "evolve.yml")
    monkeypatch.chdir(tmp_path)
    assert "objective words" in evomerge("check", moved)


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_is_taken_with_a_note(file: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    value: dict[Any, list[str]] = {None: [], int: ["24"], float: ["0.2"], str: ["somewhere"]}
    flags, rest = taken_out([f"--{name}", *value[FLAGS[name].kind], str(file)], set())
    assert rest == [str(file)]
    spec, mistakes = read_spec(read_spec_file(file, flags=flags).content)
    assert spec is not None, mistakes
    told = capsys.readouterr().err
    assert f"--{name} of mergekit-evolve: " in told
    assert not FLAGS[name].is_loss or f"Warning: --{name}" in told


def test_flags_of_other_commands_are_still_refused(evomerge: Command, file: Path) -> None:
    assert "No such option" in evomerge("check", file, "--max-feval", 3, code=Exit.USAGE)
    assert "give the file itself" in evomerge("run", "--config", file, code=Exit.USAGE)
    assert "not a whole number" in evomerge("check", file, "--max-fevals", "ten", code=Exit.USAGE)
    assert "has no value" in evomerge("check", file, "--sigma0", code=Exit.USAGE)


def test_task_folders_may_be_several(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(tmp_path / name) for name in ("first", "second")]
    given = [f"--task-search-path={name}" for name in (*folders, folders[0])]
    spec, mistakes = read_spec(read_spec_file(file, flags=taken_out(given, set())[0]).content)
    assert spec is not None, mistakes
    assert spec.tasks_path == tuple(folders)
    assert f"taken as --set tasks_path={json.dumps(folders)}" in capsys.readouterr().err


def test_what_follows_two_dashes_is_no_flag() -> None:
    flags, rest = taken_out(["--no-vllm", "--name", "x", "--", "--vllm"], {"--name"})
    assert flags.values == {"vllm": False}
    assert rest == ["--name", "x", "--", "--vllm"]
    with pytest.raises(CommandError):
        taken_out(["--timeout"], set())
