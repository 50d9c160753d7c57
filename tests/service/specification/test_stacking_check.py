"""Specs over spaces of stacked layers, checked against checkpoints on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidSpecError, Mistake
from service.specification.planning import ExperimentFacts, build_space_for
from service.specification.spec_check import Checked, check_spec
from tests.service.paper_checkpoints import write_checkpoint
from tests.service.scripted_workforce import ScriptedWorkforce

WINNER = """
merge_method: linear
models:
  - {model: FOLDER/left, parameters: {weight: 0.4}}
  - {model: FOLDER/right, parameters: {weight: 0.6}}
"""
STACK = """
merge_method: evomerge:passthrough
slices:
  - sources: [{model: FOLDER/left, layer_range: [0, 2]}]
  - {sources: [{model: FOLDER/right, layer_range: [1, END]}], input_scale: 0.5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("base", "left", "right"):
        write_checkpoint(tmp_path / name)
    return tmp_path


def check(folder: Path, space: dict[str, Any], **changes: Any) -> Checked:
    raw = {
        "name": "stacks",
        "parents": [str(folder / "left"), str(folder / "right")],
        "base": str(folder / "base"),
        "objectives": [{"task": "words"}],
        "budget": {"candidates": 50},
        "space": space,
    }
    return check_spec(raw | changes, ScriptedWorkforce(benchmarks=("words",)))


def only_mistake(folder: Path, space: dict[str, Any], **changes: Any) -> Mistake:
    with pytest.raises(InvalidSpecError) as caught:
        check(folder, space, **changes)
    (mistake,) = caught.value.mistakes
    return mistake


def test_the_facts_say_what_a_layer_weighs(folder: Path) -> None:
    checked = check(folder, {"kind": "layer_stacking", "max_parameters": 10_000})
    facts = ExperimentFacts.model_validate(checked.facts)
    assert facts.layer_parameters == 2 * 16
    assert facts.parameters == 8 * 4 + 4 + facts.layers * facts.layer_parameters
    assert checked.genes[0] == "take layer 1 of left (round 1)"
    assert [v.name for v in build_space_for(checked.spec, checked.facts).variables] == list(checked.genes)


def test_parents_may_be_named_by_paths_from_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    checked = check(
        folder, {"kind": "joint", "stacking": {"kind": "layer_stacking", "layers_of": ["./right"]}}
    )
    assert "take layer 0 of right (round 1)" in checked.genes
    assert not any(gene.startswith("take layer 0 of left") for gene in checked.genes)


def test_a_winner_may_be_given_as_a_text(folder: Path) -> None:
    space = {"kind": "structured_stacking", "winner": WINNER.replace("FOLDER", str(folder))}
    checked = check(folder, space, parents=[str(folder / "left"), str(folder / "right")])
    assert any("member of span" in gene for gene in checked.genes)
    broken = space | {
        "winner": WINNER.replace("FOLDER/right", str(folder / "base2")).replace("FOLDER", str(folder))
    }
    assert "base2, which is no parent here" in only_mistake(folder, broken).detail


@pytest.mark.parametrize(
    ("space", "pointer", "part"),
    [
        ({"kind": "stacking"}, "/space", "unknown kind of space"),
        ({"kind": "layer_stacking", "repeats": 0}, "/space/repeats", "greater than or equal to 1"),
        ({"kind": "layer_stacking", "repeat": 2}, "/space/repeat", "unknown key 'repeat'"),
        ({"kind": "layer_stacking", "scale_bounds": [2, 1]}, "/space/scale_bounds", "holds no scales"),
        ({"kind": "structured_stacking", "max_layers": 1}, "/space/max_layers", "is less than the 2 layers"),
        ({"kind": "structured_stacking", "max_parameters": 10}, "/space/max_parameters", "100 parameters"),
        ({"kind": "joint", "parameter": {"smooth": True}}, "/space/parameter/smooth", "a gradient"),
        ({"kind": "joint", "parameter": {"layer_group": 1}}, "/space/parameter/layer_group", "unknown key"),
        ({"methods": ["ties"]}, "/space/methods", "is no choice"),
        ({"frozen": {"wieght*": 1}}, "/space/frozen", "unknown gene"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_where_it_stands(
    folder: Path, space: dict[str, Any], pointer: str, part: str
) -> None:
    mistake = only_mistake(folder, space)
    assert mistake.pointer == pointer
    assert part in mistake.detail
    assert mistake.remedy or pointer == "/space"


@pytest.mark.parametrize("kind", ["layer_stacking", "joint"])
def test_scales_that_could_not_be_exported_are_refused_before_the_search(tmp_path: Path, kind: str) -> None:
    for name in ("base", "left", "right"):
        write_checkpoint(tmp_path / name, config={"architectures": ["Olmo2ForCausalLM"]})
    mistake = only_mistake(tmp_path, {"kind": kind})
    assert mistake.pointer == {"layer_stacking": "/space/scales", "joint": "/space/stacking/scales"}[kind]
    assert "scales cannot be folded into a Olmo2ForCausalLM" in mistake.detail
    assert "scales: false" in mistake.remedy
    off: dict[str, dict[str, Any]] = {
        "layer_stacking": {"scales": False},
        "joint": {"stacking": {"kind": "structured_stacking", "scales": False}},
    }
    assert check(tmp_path, {"kind": kind, **off[kind]})


def test_ones_own_stacks_are_baselines_of_a_search_for_stacks(folder: Path) -> None:
    def baselines(end: int) -> dict[str, Any]:
        return {"recipes": {"mine": STACK.replace("FOLDER", str(folder)).replace("END", str(end))}}

    checked = check(folder, {"kind": "structured_stacking"}, baselines=baselines(2))
    labels = [baseline["label"] for baseline in checked.facts["baselines"]]
    assert "mine" in labels
    assert only_mistake(folder, {}, baselines=baselines(2)).code == "wrong_depth"
    assert only_mistake(folder, {"kind": "layer_stacking"}, baselines=baselines(3)).code == "wrong_depth"
