"""What is installed is what pyproject.toml says."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

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
