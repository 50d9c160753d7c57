"""ROUGE-L: as rouge_score computes it on English, and with something to compare in Japanese."""

from __future__ import annotations

from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer

from evaluators import Benchmark
from evaluators.lm_eval.rouge_l import rouge_l
from evaluators.lm_eval.tasks.task_building import build_benchmark
from tests.evaluators.task_writing import GENERATION, three_splits, write_task

ENGLISH = [
    ("A small cat sits on the mat.", "the cat sat on THE mat"),
    ("two dogs", "three birds"),
    ("one-two three_four 5", "one two 5"),
    ("something", ""),
]


@pytest.mark.parametrize(("wanted", "given"), ENGLISH)
def test_english_is_scored_as_rouge_score_does(wanted: str, given: str) -> None:
    theirs = RougeScorer(["rougeL"]).score(wanted, given)["rougeL"].fmeasure
    assert rouge_l([wanted], [given]) == theirs


def test_japanese_is_compared_letter_by_letter() -> None:
    assert rouge_l(["猫が机の上にいる"], ["猫が机の下にいる"]) == pytest.approx(7 / 8)
    assert rouge_l(["犬", "猫がいる。"], ["猫がいる"]) == 1.0


def test_a_task_is_scored_by_it(tmp_path: Path) -> None:
    metrics = [{"metric": "rouge_l", "aggregation": "mean", "higher_is_better": True}]
    write_task(tmp_path, "said", three_splits(), **GENERATION | {"metric_list": metrics})
    built = build_benchmark(Benchmark(name="said", task="said", include_path=str(tmp_path)))
    assert (built.metric, built.higher_is_better) == ("rouge_l", True)
