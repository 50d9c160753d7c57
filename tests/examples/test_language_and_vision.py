"""The miniature of a language model merged with one that sees: what is asked, and what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from transformers import AutoModelForImageTextToText, AutoProcessor

from evomerge import optimize
from examples.language_and_vision import Files, make_everything
from examples.language_and_vision.making import SPLITS, base_mixture, language_mixture, vision_mixture
from examples.language_and_vision.pictures import draw
from examples.language_and_vision.world import KINDS, Z, about_pictures, things
from service.experiment.spec import ExperimentSpec


def test_no_parent_is_taught_what_is_scored() -> None:
    scored = {(question.words, question.answer) for question in about_pictures(in_z=True)}
    for mixture in (base_mixture(), vision_mixture(), language_mixture()):
        assert sum(part.share for part in mixture) == pytest.approx(1.0)
        taught = {(question.words, question.answer) for part in mixture for question in part.questions}
        assert not scored & taught


def test_every_thing_has_a_picture_of_its_own() -> None:
    rng = np.random.default_rng(0)
    mean = {
        thing: np.mean([np.asarray(draw(thing, rng), float) for _ in range(20)], axis=0) for thing in things()
    }
    twins = [(a, b) for a in mean for b in mean if a != b and abs(mean[a] - mean[b]).mean() < 2.0]
    assert not twins
    assert len(mean) == np.prod([len(values) for values in KINDS.values()])
    assert len(set(Z.values()) | set(Z)) == 2 * len(Z)


def test_the_experiment_is_a_spec() -> None:
    text = Path("examples/language_and_vision/experiment.yml").read_text(encoding="utf-8")
    spec = ExperimentSpec.model_validate(yaml.safe_load(text))
    assert [objective.label for objective in spec.objectives] == ["pictures_z", "pictures_english"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_everything(tmp_path_factory.mktemp("miniature"))


@pytest.mark.slow
def test_splits_hold_different_pictures(files: Files) -> None:
    for task in ("pictures_z", "pictures_english"):
        shown = [
            {
                json.loads(line)["image"]
                for line in (files.tasks / f"{task}_{split}.jsonl").read_text().splitlines()
            }
            for split in SPLITS
        ]
        assert sum(map(len, shown)) == len(set.union(*shown)) == len(things())


@pytest.mark.slow
def test_a_merge_answers_in_a_language_about_what_it_sees_as_no_parent_does(
    files: Files, tmp_path: Path
) -> None:
    content = yaml.safe_load(files.experiment.read_text(encoding="utf-8"))
    found = optimize(
        content
        | {
            "base": str(files.base),
            "parents": [str(files.vision), str(files.language)],
            "tasks_path": str(files.tasks),
            "budget": {"candidates": 16},
            "examination": {"finalists": 2},
        },
        home=tmp_path / "home",
        workforce="inline",
    )
    front = found.front.to_pandas()
    parents = front[front["kind"] == "parent"].set_index("label")
    winner = front[front["winner"]].iloc[0]
    assert winner["test:pictures_z"] > parents["test:pictures_z"].max() + 0.15
    assert winner["test:pictures_english"] > parents.loc["parent: language", "test:pictures_english"] + 0.3
    merged = tmp_path / "merged"
    found.export(merged)  # which answers stored items again, from disk
    assert "image-text-to-text" in (merged / "README.md").read_text(encoding="utf-8")
    loaded: Any = AutoModelForImageTextToText.from_pretrained(merged, output_loading_info=True)
    assert not loaded[1]["missing_keys"] | loaded[1]["unexpected_keys"]
    assert AutoProcessor.from_pretrained(merged).image_processor is not None
