"""Experiments that `evomerge run` sees through one after the other: the published hybrid in one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.cli.exits import Exit
from service.client.client import ApiError, Client
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ExperimentStatus
from service.reports.views import ExperimentDetail
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, reached, serving, spec_over
from tests.service.scripted_workforce import Mishap

Parents = dict[str, Path]
STACK = {"kind": "layer_stacking", "winner": "mix", "repeats": 1, "frozen": {"take layer 1 of merged*": 0.5}}


@pytest.fixture
def workforce() -> ControlledWorkforce:
    return ControlledWorkforce()


@pytest.fixture
def client(tmp_path: Path, workforce: ControlledWorkforce) -> Iterator[Client]:
    with serving(tmp_path / "home", workforce) as url, Client(url) as found:
        yield found


@pytest.fixture
def evomerge(client: Client) -> Command:
    return Command(client.url)


@pytest.fixture
def files(tmp_path: Path, paper_parents: Parents) -> tuple[Path, Path]:
    """A search in parameter space, and one that stacks its winner."""
    stack = {"space": STACK, "warm_start": ["mix"], "optimizer": {"algorithm": "random"}}
    return (
        _write(tmp_path / "mix.yml", spec_over(paper_parents, name="mix")),
        _write(tmp_path / "stack.yml", spec_over(paper_parents, name="stack", **stack)),
    )


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _changed(path: Path, **changes: Any) -> Path:
    return _write(path, yaml.safe_load(path.read_text()) | changes)


def _stands_on_the_winner(client: Client, second: ExperimentDetail) -> None:
    first = client.experiment("mix")
    assert first.winner is not None
    winner = read_recipe(client.recipe("mix", first.winner.number))
    spec = ExperimentSpec.model_validate(second.spec)
    assert getattr(spec.space, "winner", None) == winner
    assert second.status is ExperimentStatus.SUCCEEDED


def test_the_second_stage_stacks_the_winner_of_the_first(
    evomerge: Command, client: Client, files: tuple[Path, Path]
) -> None:
    said = evomerge.notes("run", *files)
    assert said.index("mix finished") < said.index("stack finished")
    _stands_on_the_winner(client, client.experiment("stack"))
    labels = [candidate.label for candidate in client.all_candidates("stack")]
    assert "mix: winner" in labels or client.experiment("mix").winner.number < 4  # type: ignore[union-attr]


def test_the_same_command_goes_on_where_it_was_stopped(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, files: tuple[Path, Path]
) -> None:
    workforce.gate.clear()
    assert evomerge("run", files[0], "--detach") == "mix\n"  # as if the command had been killed here
    reached(client, "mix", ExperimentStatus.RUNNING)
    client.pause("mix")
    workforce.pace = 0.1
    workforce.gate.set()  # what is on a worker finishes first
    reached(client, "mix", ExperimentStatus.PAUSED)
    workforce.pace = 0.0
    assert "mix was begun already" in evomerge.notes("run", *files)
    _stands_on_the_winner(client, client.experiment("stack"))

    again = evomerge.notes("run", *files)  # nothing is left to do
    assert "stack finished" in again
    assert [page.name for page in client.experiments().items] == ["stack", "mix"]


@pytest.mark.parametrize("order", [(1, 0), (1,)])
def test_a_winner_that_is_not_there_and_does_not_come_before_is_refused_before_any_work(
    evomerge: Command, client: Client, files: tuple[Path, Path], order: tuple[int, ...]
) -> None:
    said = evomerge("run", *(files[place] for place in order), code=Exit.INVALID)
    line = next(i for i, text in enumerate(files[1].read_text().splitlines(), 1) if "winner: mix" in text)
    assert f"{files[1]}:{line}: /space/winner: there is no experiment 'mix'" in said
    assert "name an experiment of this server" in said
    assert client.experiments().items == []


def test_mistakes_of_later_stages_are_told_before_the_first_begins(
    evomerge: Command, client: Client, files: tuple[Path, Path]
) -> None:
    _changed(files[1], space=STACK | {"max_layers": 1})
    assert "max_layers" in evomerge("run", *files, code=Exit.INVALID)
    _changed(files[1], space=STACK)
    assert "--detach" in evomerge("run", *files, "--detach", code=Exit.USAGE)
    _changed(files[1], name="mix")
    assert "2 files are called 'mix'" in evomerge("run", *files, code=Exit.INVALID)
    assert "--name" in evomerge("run", *files, "--name", "other", code=Exit.USAGE)
    assert client.experiments().items == []


def test_an_experiment_that_only_has_the_name_is_not_taken_up(
    evomerge: Command, client: Client, files: tuple[Path, Path], paper_parents: Parents
) -> None:
    client.create(spec_over(paper_parents, name="stack", seed=8))
    said = evomerge("run", *files, code=Exit.CONFLICT)
    assert "'stack' with another space, optimizer, warm_start, seed" in said
    assert [page.name for page in client.experiments().items] == ["stack"]


def test_what_comes_after_a_failure_is_not_begun(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, files: tuple[Path, Path]
) -> None:
    workforce.script = {number: Mishap() for number in range(4, 8)}
    said = evomerge("run", *files, code=Exit.FAILED)
    assert "stack was not begun; the same command goes on from here" in said
    assert [page.name for page in client.experiments().items] == ["mix"]

    workforce.script = {}
    client.extend("mix", failures=10)
    ended(client, "mix")
    assert "failures" not in evomerge("run", *files, "--set", "budget.failures=10")
    _stands_on_the_winner(client, client.experiment("stack"))


def test_a_winner_is_named_over_rest_as_well(
    client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents, name="mix"))
    second = spec_over(paper_parents, name="stack", space=STACK, optimizer={"algorithm": "random"})
    with pytest.raises(ApiError) as refused:
        client.create(second)
    (mistake,) = refused.value.mistakes
    assert (mistake.pointer, mistake.code) == ("/space/winner", "conflict")
    assert "has no winner" in mistake.detail
    workforce.gate.set()
    ended(client, "mix")
    client.create(second)
    _stands_on_the_winner(client, ended(client, "stack"))
    again = client.experiment("stack").spec | {"name": "again"}  # where the winner is a recipe
    assert client.validate(again).valid
