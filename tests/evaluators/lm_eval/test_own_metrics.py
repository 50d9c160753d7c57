"""Metrics of any task that generates: answers that are asked for several times, and tokens spent."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pytest
from lm_eval.tasks import TaskManager

from evaluators import Benchmark, BenchmarkFacts
from evaluators.chat import Chat
from evaluators.errors import EvaluationError
from evaluators.lm_eval.harness import Harness, inspect_benchmarks
from evaluators.lm_eval.model import EvomergeLM
from evaluators.lm_eval.own_marks import pass_at
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.task_writing import CHOICE, GENERATION, three_splits, write_task

REPEATS = 6
DRAWN: dict[str, Any] = {"temperature": 1.5, "max_gen_toks": 3, "until": []}
WORD: dict[str, Any] = {"function": "regex", "regex_pattern": "(w[0-9]+)"}
FIRST, VOTE = {"function": "take_first"}, {"function": "majority_vote"}
SCORED: dict[str, Any] = {  # against words that the network says often, so that some answers are right
    **GENERATION,
    "doc_to_target": "w{{[20, 4][a % 2]}}",
    "filter_list": [
        {"name": "word", "filter": [WORD, FIRST]},
        {"name": "vote", "filter": [WORD, VOTE, FIRST]},
        {"name": "vote-3", "filter": [WORD, {"function": "take_first_k", "k": 3}, VOTE, FIRST]},
    ],
}  # fmt: skip


def benchmark(folder: Path, metric: str | None = None, **settings: Any) -> Benchmark:
    return Benchmark(
        name=metric or "words", task="words", include_path=str(folder), metric=metric, **settings
    )


def single_marks(folder: Path, network: Any, tokenizer: Any) -> np.ndarray:
    """Returns what lm-eval's own run says of every answer (items x repeats), asked with the same draws."""
    found = lm_eval.simple_evaluate(
        EvomergeLM(network, tokenizer),
        tasks=["words"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        gen_kwargs={**DRAWN, "do_sample": True},
        bootstrap_iters=0,
    )
    samples = [one for one in found["samples"]["words"] if one["filter"] == "word"]
    samples.sort(key=lambda one: one["doc_id"])
    wanted = [one["target"] for one in samples]
    said = [[answer.split() for answer in one["resps"][0]] for one in samples]
    return np.array([
        [float(next((w for w in words if w.startswith("w")), "") == target) for words in of_item]
        for of_item, target in zip(said, wanted, strict=True)
    ])  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_task(tmp_path, "words", three_splits(24), **SCORED, repeats=REPEATS)


def test_answers_to_one_item_score_as_lm_eval_and_the_formula_say(
    folder: Path, network: Any, tokenizer: Any
) -> None:
    names = ["pass@1", "pass@2", "avg@6", "avg@3"]
    harness = Harness([benchmark(folder, name, generation=DRAWN) for name in names])
    scores = dict(zip(names, harness.evaluate(network, tokenizer, "search"), strict=True))
    marks = single_marks(folder, network, tokenizer)
    assert 0 < marks.mean() < 1
    assert scores["avg@6"].per_item == pytest.approx(marks.mean(1))
    assert scores["avg@3"].per_item == pytest.approx(marks[:, :3].mean(1))
    assert scores["pass@1"].per_item == pytest.approx(marks.mean(1))
    any_of_two = [np.mean([max(pair) for pair in combinations(of_item, 2)]) for of_item in marks]
    assert scores["pass@2"].per_item == pytest.approx(any_of_two)
    # Repeats of an item are no items: errors come from the items' means, and not from all answers.
    spread = marks.mean(1).std(ddof=1) / math.sqrt(len(marks))
    assert scores["avg@6"].stderr == pytest.approx(spread)
    assert scores["avg@6"].metric == "avg@6,word"


def test_majority_votes_are_those_of_lm_evals_filters(folder: Path, network: Any, tokenizer: Any) -> None:
    asked = [
        benchmark(folder, "maj@6", generation=DRAWN),
        benchmark(folder, "maj@3", generation=DRAWN),
        benchmark(folder, "exact_match,vote", generation=DRAWN),
        benchmark(folder, "exact_match,vote-3", generation=DRAWN),
    ]
    ours, ours_of_three, theirs, theirs_of_three = Harness(asked).evaluate(network, tokenizer, "search")
    assert ours.per_item == theirs.per_item
    assert ours_of_three.per_item == theirs_of_three.per_item
    assert Counter(ours.per_item)[1.0] > 0


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("metric", ["pass@2", "maj@3", "answer_tokens"])
def test_a_group_averages_them_as_it_averages_what_marks_the_answers(
    tmp_path: Path, network: Any, tokenizer: Any, metric: str, weighted: bool
) -> None:
    for name, count in (("words", 24), ("more", 12)):
        write_task(tmp_path, name, three_splits(count), **SCORED, repeats=REPEATS)
    write_task(tmp_path, "chosen", three_splits(), **CHOICE)
    rule = f"aggregate_metric_list: [{{metric: exact_match, weight_by_size: {str(weighted).lower()}}}]"
    (tmp_path / "all.yaml").write_text(f"group: all\ntask: [words, more, chosen]\n{rule}\n")
    asked = [
        benchmark(tmp_path, metric, generation=DRAWN).model_copy(update={"name": name, "task": name})
        for name in ("words", "more", "all")
    ]
    facts = inspect_benchmarks([asked[2]])[0]
    assert isinstance(facts, BenchmarkFacts)
    assert (facts.items["search"], facts.additive) == (36, weighted)
    words, more, both = Harness(asked).evaluate(network, tokenizer, "search")
    sizes = (24, 12) if weighted else (1, 1)
    mean = np.average([words.value, more.value], weights=sizes)
    assert both.value == pytest.approx(mean)
    assert both.per_item == (*words.per_item, *more.per_item)
    assert both.metric == f"{metric},word"
    assert 0 < both.stderr < max(words.stderr, more.stderr)


@pytest.mark.parametrize(("answers", "right", "wanted"), [(5, 0, 2), (5, 2, 3), (4, 4, 1), (6, 3, 4)])
def test_pass_at_k_counts_the_choices_that_hold_a_right_answer(answers: int, right: int, wanted: int) -> None:
    marks = [1] * right + [0] * (answers - right)
    chosen = list(combinations(marks, wanted))
    assert pass_at(wanted, answers, right) == pytest.approx(sum(map(max, chosen)) / len(chosen))


def test_a_metric_of_several_answers_asks_so_often_by_itself(
    tmp_path: Path, network: Any, tokenizer: Any
) -> None:
    simple = {**SCORED, "filter_list": SCORED["filter_list"][:2]}
    folder = write_task(tmp_path, "words", three_splits(), **simple)
    (own,) = Harness([benchmark(folder, "pass@4", generation=DRAWN)]).evaluate(network, tokenizer, "search")
    written = {**DRAWN, "repeats": 4}
    (said,) = Harness([benchmark(folder, "pass@4", generation=written)]).evaluate(
        network, tokenizer, "search"
    )
    assert own.per_item == said.per_item


@pytest.mark.parametrize(
    ("metric", "settings", "said"),
    [
        ("pass@9", {"generation": {**DRAWN, "repeats": 6}}, "needs 9 answers.*repeats: 9"),
        ("maj@3", {"generation": {"repeats": 3}}, "the likeliest tokens.*temperature: 0.7"),
        ("pass@2:f1", {"generation": DRAWN}, "has no metric 'f1'"),
        ("reasoning_tokens", {}, "none is named.*think_end"),
        ("maj@2,vote-3", {"generation": DRAWN}, "filter vote-3 reads several"),
        ("exact_match,vote", {"generation": {**DRAWN, "repeats": 2}}, "vote-3 reads 3 answers.*repeats: 3"),
        ("answer_token", {}, "has no metric 'answer_token'"),
    ],
)
def test_what_answers_cannot_be_worth_is_refused_before_any_weights(
    folder: Path, metric: str, settings: dict[str, Any], said: str
) -> None:
    (found,) = inspect_benchmarks([benchmark(folder, metric, **settings)])
    assert isinstance(found, EvaluationError)
    assert re.search(said, str(found))


def test_choices_have_no_tokens_of_answers(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), **CHOICE)
    (found,) = inspect_benchmarks([benchmark(tmp_path, "answer_tokens")])
    assert isinstance(found, EvaluationError)
    assert "compares given texts" in str(found)


def test_tokens_of_answers_and_of_reasoning_are_counted_apart(
    make_network: Callable[..., Any], tmp_path: Path
) -> None:
    write_task(tmp_path, "words", three_splits(24), **GENERATION)
    network, tokenizer = make_network(3, "qwen3"), chat_tokenizer("qwen3")
    # What the network says often ends its reasoning here, so that most answers have some.
    chat, room = Chat(think_end="w1"), {"max_gen_toks": 12, "until": []}
    names = ("answer_tokens", "reasoning_tokens", "generated_tokens")
    asked = [benchmark(tmp_path, name, chat=chat, generation=room) for name in names]
    harness = Harness([*asked, benchmark(tmp_path, "exact_match", chat=chat, generation=room)])
    answer, reasoning, everything, _ = harness.evaluate(network, tokenizer, "search")
    assert not answer.higher_is_better
    assert dict(answer.notes).get("unextracted") is None
    whole = [a + r for a, r in zip(answer.per_item, reasoning.per_item, strict=True)]
    assert whole == list(everything.per_item)
    assert len(set(reasoning.per_item)) > 1
    assert max(everything.per_item) <= 12
    untold = Harness([benchmark(tmp_path, "answer_tokens", generation=room)])
    assert untold.evaluate(network, tokenizer, "search")[0].per_item == everything.per_item
