from __future__ import annotations

from pathlib import Path

import pytest

from service.optimizers import OPTIMIZERS

PAGE = (Path(__file__).parents[3] / "docs" / "optimizers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_page_names_every_optimizer_and_its_settings(name: str) -> None:
    assert f"`{name}`" in PAGE
    for option, declared in OPTIMIZERS[name].declared_options.items():
        assert f"`{option}`" in PAGE or f"`{option}:" in PAGE
        assert declared.checked(option, declared.default) == declared.default
