"""-q, -v and --json, which commands have in common."""

from __future__ import annotations

from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from service.cli.exits import Exit
from service.cli.program import COMMANDS, app
from tests.service.command import Command

GROUP: Any = typer.main.get_command(app)
WITHOUT_JSON = {"serve", "schema"}  # the one goes on until it is stopped, the other writes JSON anyway


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_them(name: str) -> None:
    found = GROUP.get_command(None, name)
    for each in getattr(found, "commands", {"": found}).values():
        options = {word for parameter in each.params for word in parameter.opts}
        assert {"-q", "--quiet", "-v", "--verbose"} <= options
        assert ("--json" in options) is (name not in WITHOUT_JSON)


@pytest.mark.parametrize("arguments", [("-q", "list"), ("list", "-q"), ("list", "--quiet")])
def test_quiet_leaves_errors_alone(evomerge: Command, arguments: tuple[str, ...]) -> None:
    assert evomerge.notes("list") != ""  # what is said in one call is forgotten in the next
    assert evomerge.notes(*arguments) == ""
    assert "there is no" in evomerge("-q", "status", "nothing", code=Exit.NOT_FOUND)


def test_verbose_tells_who_is_asked(evomerge: Command) -> None:
    assert f"Asking the service at {evomerge.environment['EVOMERGE_URL']}" in evomerge.notes("list", "-v")


def test_the_version_is_told_in_short() -> None:
    assert Command(None)("-V") == Command(None)("--version")


def completed(words: str, **environment: str) -> list[str]:
    """What a shell is told to complete."""
    asked = {
        "_EVOMERGE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    found = CliRunner().invoke(
        app, [], prog_name="evomerge", env=asked | {"EVOMERGE_URL": None} | environment
    )
    assert found.stderr == ""
    return found.stdout.split()


def test_a_shell_completes_names_and_choices(finished: Command) -> None:
    url = str(finished.environment["EVOMERGE_URL"])
    assert completed("evomerge status sm", EVOMERGE_URL=url) == ["small"]
    assert completed("evomerge show small w") == ["winner"]
    assert completed("evomerge front small --split se") == ["search", "selection"]
    assert set(completed("evomerge exam")) == {"examination"}


def test_a_shell_completes_nothing_in_silence_where_there_is_no_service(tmp_path: Any) -> None:
    assert completed("evomerge status sm", EVOMERGE_HOME=str(tmp_path), EVOMERGE_PORT="9") == []
    assert completed("evomerge status sm", EVOMERGE_URL="http://127.0.0.1:9") == []
