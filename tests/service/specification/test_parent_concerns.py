"""A spec's check passes on what a preflight of its parents would say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from service.reports.experiments import validation_view
from tests.service.specification.test_spec_check import check, folder, only_mistake, spec_in

__all__ = ["folder"]


def edit_config(parent: Path, **changes: Any) -> None:
    path = parent / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def redraw(parent: Path) -> None:
    """Gives a model weights of another origin."""
    path = parent / "model.safetensors"
    generator = torch.Generator().manual_seed(5)
    save_file({n: torch.randn(t.shape, generator=generator) for n, t in load_file(path).items()}, path)


def draw(folder: Path) -> None:
    """Gives all parents the same weights that are not zero."""
    for name in ("base", "left", "right"):
        redraw(folder / name)
        path = folder / name / "model.safetensors"
        tensors = load_file(path)
        if name == "right":
            continue
        save_file({n: 2.0 * torch.ones_like(t) + t for n, t in tensors.items()}, path)


def test_parents_that_look_unrelated_are_told_by_the_check(folder: Path) -> None:
    draw(folder)
    (warning,) = check(spec_in(folder)).warnings
    assert warning.startswith(f"{folder / 'right'}: its weights look unrelated to {folder / 'base'}'s")
    assert validation_view(check(spec_in(folder))).warnings == [warning]


def test_layers_of_unrelated_parents_may_be_stacked(folder: Path) -> None:
    draw(folder)
    stacked = spec_in(folder, base=..., space={"kind": "layer_stacking"})
    assert not any("unrelated" in warning for warning in check(stacked).warnings)


def test_settings_that_parents_have_otherwise_are_told_by_the_check(folder: Path) -> None:
    for name in ("base", "left", "right"):
        edit_config(folder / name, hidden_act="silu")
    edit_config(folder / "left", hidden_act="relu")
    (warning,) = check(spec_in(folder)).warnings
    assert f"{folder / 'left'}: hidden_act (the activation) is 'relu'" in warning
    assert f"computes with that of {folder / 'base'}" in warning


@pytest.mark.parametrize(("key", "values"), [("num_attention_heads", (2, 4)), ("alibi", (True, False))])
def test_parents_whose_tensors_are_another_network_are_refused(
    key: str, values: tuple[Any, Any], folder: Path
) -> None:
    for name, value in zip(("base", "left", "right"), (values[0], *values), strict=True):
        edit_config(folder / name, **{key: value})
    mistake = only_mistake(spec_in(folder))
    assert (mistake.pointer, mistake.code) == ("/parents/1", "parents_differ")
    assert f"{key} (" in mistake.detail
