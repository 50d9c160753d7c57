"""By how much items of multiple-choice tasks are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluators import Score
from evaluators.lm_eval.harness import Harness
from tests.evaluators.lm_eval.test_harness import RIGHT, UNEVEN, benchmark, expected
from tests.evaluators.task_writing import CHOICE, three_splits, write_task

METRICS = ("acc", "acc_norm", "acc_bytes")


def has_the_signs_of_its_marks(score: Score) -> bool:
    pairs = zip(score.margins, score.per_item, strict=True)
    return all((margin > 0) == (mark > 0) for margin, mark in pairs if margin)


@pytest.mark.parametrize("right", ["one", "a list"])
def test_a_margin_is_positive_where_the_item_is_right(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path, right: str
) -> None:
    write_task(tmp_path, "words", three_splits(40), **{**UNEVEN, "doc_to_target": RIGHT[right]})
    harness = Harness([benchmark(tmp_path, metric=metric) for metric in METRICS])
    for network in map(make_network, (0, 1)):
        scores = harness.evaluate(network, tokenizer, "search")
        assert len({score.margins for score in scores}) == 3
        for score in scores:
            assert 0 < score.value < 1
            assert len(score.margins) == 40
            assert has_the_signs_of_its_marks(score)
            assert score.margins == tuple(float(np.float32(margin)) for margin in score.margins)


@pytest.mark.parametrize(("metric", "lengths"), [("acc", (1, 1, 1, 1)), ("acc_norm", (2, 2, 5, 2))])
def test_margins_are_differences_of_lm_evals_log_likelihoods(
    network: Any, tokenizer: Any, tmp_path: Path, metric: str, lengths: tuple[int, ...]
) -> None:
    write_task(tmp_path, "words", three_splits(40), **CHOICE)
    (score,) = Harness([benchmark(tmp_path, metric=metric)]).evaluate(network, tokenizer, "search")
    samples = expected(network, tokenizer, tmp_path)["samples"]["words"]
    for margin, sample in zip(score.margins, sorted(samples, key=lambda one: one["doc_id"]), strict=True):
        answers = [answer[0] for answer in sample["filtered_resps"]]
        weighed = [answer / length for answer, length in zip(answers, lengths, strict=True)]
        best = weighed.pop(sample["doc"]["a"])
        assert margin == pytest.approx(best - max(weighed), abs=1e-3)


def test_margins_are_known_of_whole_search_splits_alone(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    for name, count in (("one", 8), ("two", 24)):
        write_task(tmp_path, name, three_splits(count), **CHOICE)
    (tmp_path / "both.yaml").write_text(
        "group: both\ntask: [one, two]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    )
    harness = Harness([benchmark(tmp_path, task) for task in ("one", "two", "both")])
    one, two, both = harness.evaluate(network, tokenizer, "search")
    assert [len(score.margins) for score in (one, two, both)] == [8, 24, 32]
    assert both.margins == one.margins + two.margins
    part, whole = harness.evaluate(network, tokenizer, "search", ((1, 5), tuple(range(24)), ()))
    assert part.margins == ()
    assert whole.margins == pytest.approx(two.margins, abs=1e-4)
    for split in ("selection", "test"):
        for score in harness.evaluate(network, tokenizer, split):
            assert score.per_item
            assert score.margins == ()


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        (CHOICE, {"direction": "minimize"}),
        (UNEVEN, {"metric": "exact_match"}),  # marked by lm-eval itself
    ],
)
def test_what_is_not_chosen_by_likelihood_has_no_margins(
    network: Any, tokenizer: Any, tmp_path: Path, task: dict[str, Any], settings: dict[str, Any]
) -> None:
    write_task(tmp_path, "words", three_splits(), **task)
    (score,) = Harness([benchmark(tmp_path, **settings)]).evaluate(network, tokenizer, "search")
    assert score.per_item
    assert score.margins == ()


@pytest.mark.parametrize(
    "task",
    [
        CHOICE | {"doc_to_target": "{{ [0, 1, 2, 3] }}"},  # no choice is wrong
        UNEVEN | {"doc_to_target": RIGHT["a text"]},  # some items have no right one
    ],
)
def test_an_item_that_cannot_be_got_wrong_or_right_has_a_margin_of_0(
    network: Any, tokenizer: Any, tmp_path: Path, task: dict[str, Any]
) -> None:
    write_task(tmp_path, "words", three_splits(), **task)
    (score,) = Harness([benchmark(tmp_path)]).evaluate(network, tokenizer, "search")
    assert len(score.margins) == len(score.per_item)
    assert 0.0 in score.margins


def test_choices_that_tie_have_a_margin_of_0(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    choices = {"doc_to_choice": ["w1", "w1"], "doc_to_target": "{{ a % 2 }}"}
    write_task(tmp_path, "words", three_splits(), **(CHOICE | choices))
    (score,) = Harness([benchmark(tmp_path)]).evaluate(network, tokenizer, "search")
    assert score.margins == (0.0,) * 12
    assert set(score.per_item) == {0.0, 1.0}


def test_two_metrics_of_one_task_are_not_taken_for_each_other(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), **CHOICE)
    asked = [benchmark(tmp_path, metric=metric) for metric in METRICS[:2]]
    item_sets = Harness(asked).item_sets("search")
    assert len({item_set.fingerprint for item_set in item_sets}) == 2
    assert [item_set.benchmark for item_set in item_sets] == [one.name for one in asked]
