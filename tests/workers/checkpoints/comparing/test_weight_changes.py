"""What a fine-tune left of its base is found by comparing weights, and kept as long as files stay."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from search_spaces import Parent
from tests.tiny_models import save_tiny_model
from workers.checkpoints.comparing.unchanged_tensors import unchanged_tensors
from workers.checkpoints.comparing.weight_changes import WeightChanges, unchanged_in, weight_changes
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.checkpoints.layout import Layout
from workers.checkpoints.record_files import ELSEWHERE


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "base", 0)


def tuned(base: Path, *parts: str, dtype: torch.dtype = torch.float32, by: float = 0.1) -> Layout:
    """A copy in which the last number of every tensor with one of these parts in its name is another."""
    folder = base.parent / "tuned"
    folder.mkdir(exist_ok=True)
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(base / "model.safetensors")
    for name, tensor in weights.items():
        weights[name] = tensor.to(dtype)
        if any(part in name for part in parts):
            weights[name].view(-1)[-1] += by
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return layout(folder)


def layout(folder: Path) -> Layout:
    return inspect_parent(Parent(model=str(folder)))


def changes(parent: Layout, base: Path) -> WeightChanges:
    origin = layout(base)
    known = {parent.parent: parent, origin.parent: origin}
    kept = unchanged_in(known, origin.parent, merged=tuple(known))
    return weight_changes(parent, origin, kept[parent.parent])


def test_one_number_at_the_end_of_a_tensor_makes_its_layer_a_changed_one(base: Path) -> None:
    found = changes(tuned(base, "layers.1.mlp.up_proj"), base)
    assert (found.kept_layers, found.outside_kept) == ((0,), True)
    assert found.words.startswith("tuned changed layer 1 of 2 (")


def test_a_copy_has_the_bases_weights_everywhere(base: Path) -> None:
    assert changes(tuned(base), base).words == "tuned has the base's weights everywhere"


def test_what_lies_outside_the_layers_is_told_apart(base: Path) -> None:
    found = changes(tuned(base, "embed_tokens"), base)
    assert (found.kept_layers, found.outside_kept) == ((0, 1), False)
    assert "no layer and what lies outside the layers" in found.words


def test_equal_numbers_in_another_format_are_equal(base: Path) -> None:
    rounded = {n: t.bfloat16().float() for n, t in load_file(base / "model.safetensors").items()}
    save_file(rounded, base / "model.safetensors", {"format": "pt"})
    assert changes(tuned(base, dtype=torch.bfloat16), base).kept_layers == (0, 1)


def test_rows_of_other_tokens_are_no_equal_embeddings(base: Path) -> None:
    parent = tuned(base)
    text = (parent.folder / "tokenizer.json").read_text()
    (parent.folder / "tokenizer.json").write_text(
        text.replace('"w1"', '"other"').replace('"w2"', '"w1"').replace('"other"', '"w2"')
    )
    assert not changes(layout(parent.folder), base).outside_kept


def test_nothing_is_said_of_weights_that_are_not_here(base: Path) -> None:
    parent, origin = tuned(base), layout(base)
    (parent.folder / "model.safetensors").unlink()
    assert unchanged_tensors(parent, origin) is None


def test_a_comparison_is_made_once_for_files_that_stay(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ELSEWHERE, str(base.parent / "records"))
    parent, origin = tuned(base, "layers.1."), layout(base)
    found = unchanged_tensors(parent, origin, worth_remembering=0)
    (kept,) = (base.parent / "records" / "unchanged").iterdir()
    kept.write_text("[]")
    assert unchanged_tensors(parent, origin, worth_remembering=0) == frozenset()
    again = tuned(base, "layers.0.", "layers.1.")
    assert unchanged_tensors(again, origin, worth_remembering=0) not in (found, frozenset())
