"""Specs that ask parts of the items where that makes no sense, or name several folders of tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluators import Benchmark, BenchmarkFacts
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.specification.test_spec_check import check, folder, mistakes, only_mistake, spec_in
from workers.protocol.messages import BenchmarkProblem

__all__ = ["folder"]


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"rotation": {"items": 40}}, "/rotation/items", "40 of 64 search items"),
        ({"rotation": {"items": 2}}, "/rotation/items", "2"),
        (
            {"rotation": {"items": 20}, "optimizer": {"algorithm": "m2n2"}},
            "/rotation",
            "keeps what a candidate scored once",
        ),
        ({"halving": {"first": 64}}, "/halving/first", "64 of 64 items"),
        ({"halving": {"first": 10}, "racing": {}}, "/halving", "race the best so far or"),
        (
            {"halving": {"first": 10}, "objectives": [{"task": "words"}, {"task": "sums"}]},
            "/halving",
            "2 objectives",
        ),
        (
            {"halving": {"first": 10}, "optimizer": {"algorithm": "random"}},
            "/halving",
            "in a steady state there is no generation",
        ),
        ({"halving": {"first": 10, "eta": 1.0}}, "/halving/eta", "greater than 1"),
    ],
)
def test_parts_of_the_items_that_make_no_sense_are_refused(
    folder: Path, changes: dict[str, Any], pointer: str, words: str
) -> None:
    mistake = only_mistake(spec_in(folder, **changes))
    assert mistake.pointer == pointer
    assert words in f"{mistake.detail} {mistake.remedy}"


def test_a_score_that_is_no_mean_cannot_be_asked_in_parts(folder: Path) -> None:
    class Perplexed(ScriptedWorkforce):
        def _look_up(self, benchmark: Benchmark) -> BenchmarkFacts | BenchmarkProblem:
            found = super()._look_up(benchmark)
            assert isinstance(found, BenchmarkFacts)
            return replace(found, additive=False)

    force = Perplexed(benchmarks=("words",))
    (mistake,) = mistakes(spec_in(folder, rotation={"items": 20}), force)
    assert (mistake.pointer, mistake.code) == ("/rotation", "no_mean")
    assert check(spec_in(folder), force).warnings == ()


def test_tasks_may_lie_in_several_folders_each_of_which_must_be_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    checked = check(spec_in(folder, tasks_path=[".", "left"]))
    assert checked.spec.tasks_path == (str(folder), str(folder / "left"))
    missing = only_mistake(spec_in(folder, tasks_path=["left", "/nowhere"]))
    assert (missing.pointer, missing.code) == ("/tasks_path/1", "not_found")
    assert "there is no folder /nowhere" in missing.detail
