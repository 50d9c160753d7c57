"""Experiments' names: what is refused, and the folders that bear them."""

from __future__ import annotations

import pytest

from service.experiment.names import LONGEST_FOLDER, addressable, folder_name
from service.specification.reading import read_spec
from tests.service.small_experiments import small_spec


@pytest.mark.parametrize("name", ["a", "math-and-japanese", "ärger & 100 % ?x=#1", "数学", "v1.5", "a b"])
def test_a_name_that_can_be_addressed_is_taken(name: str) -> None:
    assert addressable(name) == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "at least 1 character"),
        ("   ", "is blank"),
        (" a", "begins or ends with blanks"),
        ("a\n", "pattern"),
        (".", "lone dots"),
        ("..", "lone dots"),
        ("a/b", "slashes"),
        ("a\\b", "slashes"),
        ("01928c4e-7b1a-7000-8000-000000000000", "looks like an experiment's id"),
    ],
)
def test_a_name_that_cannot_be_addressed_is_a_mistake(name: str, told: str) -> None:
    spec, mistakes = read_spec(small_spec().model_dump(mode="json") | {"name": name})
    assert spec is None
    assert [mistake.pointer for mistake in mistakes] == ["/name"]
    assert told in str(mistakes[0])


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("small", "small"),
        ("数学", "数学"),
        ("a b", "a-b-1234"),
        ("a:b", "a-b-1234"),
        ("...", "experiment-1234"),
        (".hidden", "hidden-1234"),
        ("!?", "experiment-1234"),
    ],
)
def test_a_folder_is_recognised_by_its_experiments_name(name: str, folder: str) -> None:
    assert folder_name(name, "1234") == folder


def test_no_folders_name_is_longer_than_file_systems_take() -> None:
    folder = folder_name("学" * 200, "12345678")
    assert folder.startswith("学学学")
    assert len(folder.encode()) <= LONGEST_FOLDER + 9
