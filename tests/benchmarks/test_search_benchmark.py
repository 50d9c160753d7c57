from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.miniatures.networks import BLOCKS
from benchmarks.miniatures.specialists import Specialists
from benchmarks.miniatures.stacking import LayerAverages, Stacking
from benchmarks.searching.contestants import Told
from benchmarks.searching.demo import Course, Step, ratios
from benchmarks.searching.miniatures import Claim, MiniatureResult
from benchmarks.searching.problem import Problem
from examples.language_and_arithmetic import DemoFiles
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.optimizers import AUTO


def test_specialists_know_half_the_digits_and_mix_only_where_they_share_a_base() -> None:
    shared = Specialists(0, "shared base")
    for alone in shared.baselines()[:2]:
        assert 0.4 < shared.items(alone, "test").mean() < 0.55
    assert shared.items(shared.even(0.5), "test").mean() > 0.8

    unrelated = Specialists(0, "unrelated")
    assert unrelated.items(unrelated.even(0.5), "test").mean() < 0.6


@pytest.mark.parametrize("grain", ["layers", "model"])
def test_coarser_genes_describe_the_same_mixtures(grain: str) -> None:
    fine, coarse = Specialists(0, "shared base"), Specialists(0, "shared base", grain)  # type: ignore[arg-type]

    assert len(coarse.variables) < len(fine.variables)
    one, other = fine.merged(fine.even(0.3)), coarse.merged(coarse.even(0.3))
    assert all(np.allclose(one[name], other[name]) for name in one)


def test_a_stack_begins_as_the_first_model_and_is_hurt_by_the_naive_one_less_than_by_nothing() -> None:
    stacks, mixing = Stacking(0, scales=True), LayerAverages(0)

    alone = stacks.items(stacks.baselines()[0], "test")
    assert (alone == mixing.items((1.0, 0.0) * BLOCKS, "test")).all()
    assert alone.mean() < stacks.naive("test").mean() < stacks.average("test").mean()


def _course(name: str, startup: float, *runs: tuple[Step, ...]) -> Course:
    return Course(Told(name, startup), runs)


def test_a_run_that_never_reaches_a_target_takes_forever_and_start_up_counts() -> None:
    early, late = Step(3, 2.0, 0.5, 0.52), Step(9, 8.0, 0.6, 0.61)
    course = _course("x", 10.0, (early, late), (early,), (early, late))

    assert course.evaluations_to(0.5) == 4
    assert course.seconds_to(0.6) == 18.0
    assert math.isinf(_course("x", 0.0, (early,)).seconds_to(0.6))


def test_ratios_compare_at_the_highest_target_that_both_reach() -> None:
    mine = _course(AUTO, 1.0, (Step(1, 1.0, 0.5, 0.45), Step(3, 3.0, 0.7, 0.66)))
    peer = _course("mergekit-evolve", 9.0, (Step(4, 10.0, 0.5, 0.46), Step(9, 31.0, 0.6, 0.55)))

    found = ratios({AUTO: mine, "mergekit-evolve": peer})

    assert found["target_vs_mergekit_evolve"] == 0.55
    assert found["time_to_target_vs_mergekit_evolve"] == 40.0 / 4.0
    assert found["evaluations_to_target_vs_mergekit_evolve"] == 10 / 4
    assert found["end_vs_mergekit_evolve"] == pytest.approx(0.11)


def test_a_claim_is_judged_on_paired_differences() -> None:
    scores = {"a": (0.50, 0.90, 0.71), "b": (0.40, 0.80, 0.60), "c": (0.55, 0.85, 0.71)}
    result = MiniatureResult("x", scores)

    assert result.difference(Claim("a", "b"))[0] == pytest.approx(0.31 / 3)
    assert result.verdict(Claim("a", "b")) == "as published"
    assert result.verdict(Claim("b", "a")) == "NOT as published"
    assert result.verdict(Claim("a", "c")) == "no clear difference"


def test_recipes_that_name_a_contestants_copies_are_read_as_recipes_of_the_originals(tmp_path: Path) -> None:
    made = {name: tmp_path / "parents" / name for name in ("base", "arithmetic", "language")}
    files = DemoFiles(made["base"], {n: made[n] for n in ("arithmetic", "language")}, tmp_path / "tasks")
    theirs = """
merge_method: task_arithmetic
base_model: /elsewhere/input_models/base_1556050009
slices:
- sources:
  - {model: /elsewhere/input_models/arithmetic_2869950239, layer_range: [0, 8], parameters: {weight: 0.5}}
  - {model: /elsewhere/copies/language, layer_range: [0, 8], parameters: {weight: 0.7}}
  - layer_range: [0, 8]
    model: /elsewhere/input_models/base_1556050009"""
    recipe = read_recipe(Problem(files, tmp_path).with_own_paths(theirs))

    assert {parent.model for parent in recipe.all_parents} == set(map(str, made.values()))
