"""What README says is so."""

from __future__ import annotations

import re

import yaml

from search_spaces.catalogue.methods import METHODS
from service.cli.program import COMMANDS
from service.experiment.spec import ExperimentSpec
from service.settings import Settings
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_command_is_named_and_every_named_command_exists() -> None:
    listed = re.search(r"options and examples: `([^`]+)`", README)
    assert listed is not None
    assert set(listed[1].split()) == set(COMMANDS)
    used = set(re.findall(r"^evomerge ([a-z]+)", README, flags=re.MULTILINE))
    assert used <= set(COMMANDS)


def test_the_example_experiment_is_one() -> None:
    (text,) = blocks("yaml")
    spec = ExperimentSpec.model_validate(yaml.safe_load(text))
    assert spec.objectives[1].weight == 0.5


def test_the_python_example_compiles() -> None:
    for text in blocks("python"):
        compile(text, "README.md", "exec")


def test_the_table_of_methods_is_complete() -> None:
    (table,) = re.findall(r"^\| family \| methods \|\n(?:\|.*\|\n)+", README, flags=re.MULTILINE)
    named = re.findall(r"`([a-z_]+)`", table)
    assert sorted(named) == sorted(METHODS)


def test_every_setting_that_is_named_exists() -> None:
    fields = {f"EVOMERGE_{name.upper()}" for name in Settings.model_fields}
    of_clients = {"EVOMERGE_URL"}
    assert set(re.findall(r"\bEVOMERGE_[A-Z_]+\b", README)) <= fields | of_clients


def test_every_file_that_is_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README) + re.findall(r'(?:src|srcset)="([^"]+)"', README):
        assert (REPOSITORY / target).exists(), target
