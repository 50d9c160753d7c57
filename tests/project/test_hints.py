"""Commands and options that a text names exist: hints, help, pages and documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer.main

from service.cli.evolve_flags import FLAGS
from service.cli.program import COMMANDS, app
from tests.conftest import REPOSITORY

CODE = ("search_spaces", "evaluators", "workers", "service", "evomerge")
QUOTED = re.compile(r"`evomerge ([^`\n]+)`()")
LISTED = re.compile(r"`evomerge ([^`\n]+)`|^evomerge ([^\n#]+)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
SAID = re.compile(r"(?<![\w`-])--[a-z][a-z-]+")


def strings(tree: ast.AST) -> Iterator[str]:
    """Every text of a module; what is put into it is called X."""
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(v.value if isinstance(v, ast.Constant) else "X" for v in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


@cache
def texts() -> list[tuple[str, str]]:
    """Every text, with the file that it is in."""
    return list(_texts())


def _texts() -> Iterator[tuple[str, str]]:
    for package in CODE:
        for path in (REPOSITORY / package).rglob("*.py"):
            for text in strings(ast.parse(path.read_text(encoding="utf-8"))):
                yield str(path.relative_to(REPOSITORY)), text
        for path in (REPOSITORY / package).rglob("*.html"):
            yield str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8")
    for path in [REPOSITORY / "README.md", REPOSITORY / "SECURITY.md", *(REPOSITORY / "docs").glob("*.md")]:
        yield path.name, path.read_text(encoding="utf-8")


GROUP: Any = typer.main.get_command(app)


def options_of(command: Any) -> set[str]:
    own = {word for each in command.params for word in (*each.opts, *each.secondary_opts)}
    return (
        own
        | {"--help", "-h"}
        | {word for each in getattr(command, "commands", {}).values() for word in options_of(each)}
    )


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    found = {name: options_of(GROUP.get_command(None, name)) for name in COMMANDS}
    for name in ("run", "check"):
        found[name] |= {f"--{flag}" for flag in FLAGS}
    return found


def named() -> Iterator[tuple[str, list[str]]]:
    for place, text in texts():
        listed = place.endswith((".md", "cli/program.py"))
        for match in (LISTED if listed else QUOTED).finditer(text):
            words = (match[1] or match[2]).split()
            if words[0][:1].islower():  # COMMAND and X stand for any
                yield place, words


def test_every_command_that_is_named_exists_with_its_options(options: dict[str, set[str]]) -> None:
    found = list(named())
    assert len(found) > 100
    wrong = []
    for place, (name, *words) in found:
        known = options.get(name.rstrip(".,;:"), set())
        asked = {match for word in words for match in OPTION.findall(word.partition("=")[0])}
        if not known or asked - known:
            wrong.append((place, name, sorted(asked - known)))
    assert wrong == []


def test_every_option_that_a_hint_names_exists(options: dict[str, set[str]]) -> None:
    every = set().union(*options.values(), {"--debug", "--version", "--install-completion", "--no-"})
    others = re.compile(r"pip |mergekit|genotype|docker|ray |nvidia-smi", re.IGNORECASE)
    wrong = []
    for place, text in texts():
        if place.startswith("service/") and place.endswith(".py") and not others.search(text):
            wrong += [(place, option) for option in SAID.findall(text) if option not in every]
    assert wrong == []
