"""docs/operating.md knows every error code, setting and exit code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from service.cli.exits import Exit
from service.cli.program import COMMANDS
from service.settings import Settings
from service.specification import reading
from service.web.api import problems
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
PLACES = {"Failure": 0, "Problem": 1, "BodyError": 1, "Mistake": 1, "ApiError": 1}  # of the argument `code`


def codes_in(tree: ast.AST) -> Iterator[str]:
    """Every code that a module writes as a literal: of an error class, or in a call."""
    for node in ast.walk(tree):
        value: ast.expr | None = None
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value if node.targets[0].id == "code" else None
        elif isinstance(node, ast.Call):
            place = PLACES.get(getattr(node.func, "id", ""), len(node.args))
            named = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            value = next(iter([*named, *node.args[place : place + 1]]), None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value


def sources(*packages: str) -> list[str]:
    return [p.read_text(encoding="utf-8") for name in packages for p in (REPOSITORY / name).rglob("*.py")]


def codes() -> set[str]:
    modules = sources("search_spaces", "evaluators", "workers", "service")
    found = {code for text in modules for code in codes_in(ast.parse(text))}
    return found | {*reading.CODES.values()} | {code for code, _ in problems.CODES.values()}


def test_every_code_of_the_source_is_in_the_page_and_no_other() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", PAGE, flags=re.MULTILINE)
    listed = [code for row in rows for code in re.findall(r"`(\w+)`", row)]
    assert len(listed) == len(set(listed))
    assert set(listed) == codes()


def test_every_code_has_a_cause_and_a_remedy() -> None:
    rows = re.findall(r"^\| `[a-z_`, ]+` \|(.*)\|$", PAGE, flags=re.MULTILINE)
    told = [[cell.strip() for cell in row.split("|")] for row in rows]
    assert [cells for cells in told if len(cells) != 2 or not all(cells)] == []


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    assert rows == [(str(int(each)), each.name, each.meaning) for each in Exit]


def test_every_setting_and_command_that_is_named_exists() -> None:
    known = {f"EVOMERGE_{name.upper()}" for name in Settings.model_fields}
    known |= set(re.findall(r"EVOMERGE_[A-Z_]+", "".join(sources("evaluators", "workers"))))
    assert set(re.findall(r"\bEVOMERGE_[A-Z]\w+\b", PAGE)) <= known
    assert set(re.findall(r"`evomerge ([a-z]+)", PAGE)) <= COMMANDS.keys()


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", PAGE))
def test_every_page_that_is_linked_exists(target: str) -> None:
    assert (REPOSITORY / "docs" / target).exists()
