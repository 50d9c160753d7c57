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
    """Gives base and left almost the same weights, and right others."""
    for name in ("base", "left", "right"):
        redraw(folder / name)
        path = folder / name / "model.safetensors"
        tensors = load_file(path)
        if name == "right":
            continue
        shift = 2.0 if name == "base" else 2.01
        save_file({n: shift * torch.ones_like(t) + t for n, t in tensors.items()}, path)


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


def keep_layers(parent: Path, base: Path, *layers: int) -> None:
    """Gives a parent the base's weights in these layers."""
    weights, others = (load_file(each / "model.safetensors") for each in (parent, base))
    kept = {n: t for n, t in others.items() if any(f"layers.{layer}." in n for layer in layers)}
    save_file(weights | kept, parent / "model.safetensors")


def test_genes_that_can_do_nothing_are_told_and_not_searched(folder: Path) -> None:
    keep_layers(folder / "left", folder / "base", 0)
    found = check(spec_in(folder, space={"layer_groups": 2, "outer_genes": True}))
    assert "weight of left (group 0)" not in found.genes
    assert len(found.genes) == 5
    (warning,) = (each for each in found.warnings if "not searched" in each)
    assert warning.startswith("left changed layer 1 of 2 and what lies outside the layers")
    assert "1 of 6 genes does nothing there, and is not searched: weight of left (group 0)" in warning
    view = validation_view(found)
    assert view.idle_genes == ["weight of left (group 0)"]
    assert view.changes[1] == "right changed every tensor of the base"


def test_parents_that_all_equal_the_base_leave_nothing_to_search(folder: Path) -> None:
    for name in ("left", "right"):
        (folder / name / "model.safetensors").write_bytes((folder / "base/model.safetensors").read_bytes())
    found = check(spec_in(folder))
    assert len(found.genes) == 2
    assert any("no gene does anything" in warning for warning in found.warnings)
