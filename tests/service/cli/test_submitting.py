"""Experiments' files are checked and run."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from service.cli.exits import Exit
from service.client.client import Client
from service.experiment.status import ExperimentStatus
from tests.service.command import Command
from tests.service.running import ended

Parents = dict[str, Path]


def test_a_file_is_checked(evomerge: Command, file: Path, client: Client) -> None:
    text = evomerge("check", file)
    assert "genes: 4" in text
    assert "plain average" in text
    assert json.loads(evomerge("check", file, "--json"))["valid"] is True
    assert client.experiments().items == []


def test_mistakes_are_told_with_their_lines(evomerge: Command, file: Path) -> None:
    lines = file.read_text().splitlines()
    lines += ["evaluation_timeout: 0", "dtpye: float32"]
    file.write_text(
        "\n".join(lines).replace("models/right", "models/wrong").replace("task: sums", "task: smus")
    )
    said = evomerge("check", file, code=Exit.INVALID)

    def line_of(text: str) -> int:
        return next(i for i, line in enumerate(file.read_text().splitlines(), 1) if text in line)

    for text in ("models/wrong", "task: smus", "evaluation_timeout", "dtpye"):
        assert f"{file}:{line_of(text)}: " in said
    assert "did you mean 'dtype'?" in said
    assert evomerge("run", file, code=Exit.INVALID).count(f"{file}:") == said.count(f"{file}:")


def test_what_no_request_can_say_is_told_with_its_line(evomerge: Command, file: Path) -> None:
    file.write_text(file.read_text() + "evaluation_timeout: .inf\nnotes: 2024-01-01\nbudgte: {}\n")
    last = len(file.read_text().splitlines())
    said = evomerge("check", file, "--set", "seed=.nan", code=Exit.INVALID)
    assert f"{file}:{last - 2}: /evaluation_timeout: inf is no finite number" in said
    assert f"{file}:{last - 1}: /notes: 2024-01-01 is a date" in said
    assert f"{file}:{last}: /budgte" in said
    assert "--set seed=.nan: /seed: nan is no finite number" in said
    assert evomerge("run", file, "--set", "seed=.nan", code=Exit.INVALID) == said
    assert "--name a/b: /name" in evomerge(
        "check",
        file,
        "--set",
        "evaluation_timeout=9",
        "--set",
        "notes=''",
        "--name",
        "a/b",
        code=Exit.INVALID,
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "line"),
        ("a: 1\na: 2\n", "twice"),
        ("a: 1\nb: *x\n", "alias"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("- a\n- b\n", "no experiment"),
        ("", "no experiment"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(
    evomerge: Command, tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    said = evomerge("run", path, code=Exit.INVALID)
    assert told in said
    assert str(path) in said
    assert "No such file" in evomerge("run", tmp_path / "missing.yml", code=Exit.INVALID)


def test_an_experiment_is_run_to_its_end(evomerge: Command, file: Path, client: Client) -> None:
    text = evomerge("run", file)
    assert "parent: left" in text
    assert client.experiment("small").status is ExperimentStatus.SUCCEEDED
    assert "was run already" in evomerge.notes("run", file)
    assert evomerge("run", file) == text
    assert "evomerge extend small" in evomerge(
        "run", file, "--set", "budget.candidates=9", code=Exit.CONFLICT
    )
    assert "--name" in evomerge("run", file, "--set", "seed=8", code=Exit.CONFLICT)
    assert "12/12" in evomerge.notes("run", file, "--name", "second")


def test_values_are_changed_on_the_way(evomerge: Command, file: Path, client: Client) -> None:
    changes = ["budget.candidates=4", "objectives.1.weight=0.5", "notes=hello", "optimizer.algorithm=random"]
    options = [option for change in changes for option in ("--set", change)]
    assert evomerge("run", file, "--detach", *options) == "small\n"
    spec = ended(client, "small").spec
    assert spec["budget"]["candidates"] == 4
    assert [objective["weight"] for objective in spec["objectives"]] == [1.0, 0.5]
    assert (spec["notes"], spec["optimizer"]["algorithm"]) == ("hello", "random")
    for change in ("budget", "objectives.7.weight=1", "name.x=1", "=1"):
        assert "--set" in evomerge("run", file, "--set", change, code=Exit.USAGE)


def test_a_recipe_may_be_a_file_beside_the_experiment(
    evomerge: Command, file: Path, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "mine.yml").write_text(
        "merge_method: linear\nmodels:\n- {model: models/left, parameters: {weight: 1}}\n"
        "- {model: models/right, parameters: {weight: 3}}\n"
    )
    evomerge("run", file, "--set", "baselines.recipes={mine: mine.yml}")
    assert "mine" in [candidate.label for candidate in client.all_candidates("small")]


def test_without_a_service_the_command_starts_its_own(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # another program has the usual port
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("EVOMERGE_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("EVOMERGE_WORKFORCE", "inline")
        evomerge = Command(None)
        # No worker's libraries are loaded for this: there is no task to ask about.
        said = evomerge(
            "check", file, "--home", tmp_path / "own", "--set", "objectives=[]", code=Exit.INVALID
        )
        assert "starting one" in said
        assert f"{file} has" in said
        assert (tmp_path / "own" / "evomerge.db").exists()
        assert "--detach" in evomerge(
            "run", file, "--detach", "--home", tmp_path / "own", code=Exit.UNREACHABLE
        )
