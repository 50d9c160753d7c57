"""What is installed is what pyproject.toml and constraints.txt say."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_installed_package_has_types_and_is_checked(package: str) -> None:
    assert (REPOSITORY / package / "py.typed").read_bytes() == b""
    assert package in PROJECT["tool"]["mypy"]["packages"]
    assert package in PROJECT["tool"]["importlinter"]["root_packages"]


def test_images_hold_every_installed_package() -> None:
    copied = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert [package for package in PACKAGES if f"COPY {package} {package}\n" not in copied] == []


PINS = [
    line
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


def requirements() -> list[Requirement]:
    """Everything that `make install` asks for by name: vLLM's extra is not part of it."""
    extras = [text for name, texts in EXTRAS.items() if name != "vllm" for text in texts]
    texts = [*PROJECT["project"]["dependencies"], *extras, *PROJECT["dependency-groups"]["dev"]]
    return [Requirement(text) for text in texts if not text.startswith("evomerge[")]


def test_constraints_are_plain_pins_that_every_index_can_serve() -> None:
    assert [pin for pin in PINS if not re.fullmatch(r"[a-z0-9-]+==[a-z0-9.]+", pin)] == []
    assert sorted(PINS) == sorted(set(PINS))
    assert [pin for pin in PINS if pin.startswith(("nvidia-", "cuda-", "triton="))] == []


def test_constraints_hold_a_version_of_every_dependency_that_pyproject_allows() -> None:
    pinned = dict(pin.split("==") for pin in PINS)
    named = [(canonicalize_name(wanted.name), wanted) for wanted in requirements()]
    assert [name for name, _ in named if name not in pinned] == []
    assert [str(wanted) for name, wanted in named if pinned[name] not in wanted.specifier] == []
