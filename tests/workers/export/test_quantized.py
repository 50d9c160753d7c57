"""Quantized copies: complete beside the whole model, loaded by transformers, without scores of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.workers.recipes import linear_recipe
from workers.errors import ExportError
from workers.export.export import export
from workers.export.foresight import foresee
from workers.export.quantized import kinds
from workers.protocol.messages import ExportOrder

CARD = """---
license: apache-2.0
tags: [merge, mergekit]
base_model: [one, two]
model-index:
- name: out
  results:
  - task: {type: text-generation}
    dataset: {type: skills, name: skills}
    metrics: [{type: accuracy, value: 0.9}]
---
# out
It scores .9.
"""


@pytest.fixture
def order(tiny_parents: dict[str, Path], tmp_path: Path) -> ExportOrder:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    return ExportOrder(recipe, str(tmp_path / "out"), card=CARD, verify=False, quantize=("int8",))


def test_a_copy_loads_computes_nearly_the_same_and_claims_no_scores(
    order: ExportOrder, tmp_path: Path
) -> None:
    done = export(order)
    copy = tmp_path / "out-int8"
    assert len({path.stat().st_mode for path in copy.iterdir()}) == 1
    assert any(str(copy) in note and "loaded again" in note for note in done.notes)
    ids = torch.arange(1, 9)[None]
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")(ids).logits.float()
    quantized = AutoModelForCausalLM.from_pretrained(copy, dtype="auto")(ids).logits.float()
    assert 0 < (whole - quantized).abs().max() < 0.1 * whole.abs().max()
    words = "one two three"
    tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (tmp_path / "out", copy)]
    assert len({tuple(tokenizer(words)["input_ids"]) for tokenizer in tokenizers}) == 1
    card = ModelCard.load(copy / "README.md")
    told = vars(card.data)
    assert (told["base_model"], told["base_model_relation"]) == ("out", "quantized")
    assert told["license"] == "apache-2.0"
    assert told.get("eval_results") is None
    assert "It scores" not in card.text
    assert "was not scored" in card.text
    assert json.loads((copy / "evomerge.json").read_text())["quantized"]["of"] == "out"


def test_what_lies_where_a_copy_would_is_seen_before_anything_is_merged(
    order: ExportOrder, tmp_path: Path
) -> None:
    (tmp_path / "out-int8").mkdir()
    (tmp_path / "out-int8" / "mine").touch()
    with pytest.raises(ExportError, match="out-int8: exists already"):
        export(order)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out-int8" / "mine").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantize": ("int3",)}, "'int3' is no kind of copy; choose of int8, nf4"),
        ({"format": "mergekit"}, "no weights are written"),
    ],
)
def test_what_cannot_be_copied_is_refused_before_anything_is_merged(
    order: ExportOrder, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    for attempt in (export, foresee):
        with pytest.raises(ExportError, match=said):
            attempt(replace(order, **changes))
    assert not any(tmp_path.iterdir())


def test_a_library_that_is_not_installed_is_named(
    order: ExportOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = replace(kinds.KINDS["nf4"], library="no_such_library")
    monkeypatch.setitem(kinds.KINDS, "nf4", missing)
    with pytest.raises(ExportError, match=r'not installed; pip install "evomerge\[quantize\]"'):
        export(replace(order, quantize=("nf4",)))
