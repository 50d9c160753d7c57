"""Harness: scores models in memory on lm-eval's tasks.

With `task_building.py` the adapter to lm-eval: no other module imports it.  Here "task", "request",
"metric", "filter" and "group" are lm-eval's words.

lm-eval's own loop rebuilds tasks, requests and tokens for every model; here they are built once and
only the answers change.  Where a task is marked by lm-eval's own code alone, by which of its choices is
likeliest, whole arrays are marked at once; lm-eval's filters and metrics do all the rest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean, mean_stderr
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.benchmark import Benchmark
from evaluators.conditions import STANDARD, Conditions
from evaluators.errors import EvaluationError
from evaluators.evaluator import BenchmarkFacts
from evaluators.inference.language_model import InMemoryModel
from evaluators.item_set import ItemIndices, ItemSet
from evaluators.lm_eval.asked_sets import AskedSets
from evaluators.lm_eval.benchmark_facts import cross_overlaps, facts_of
from evaluators.lm_eval.choice_marks import ChoiceMarks
from evaluators.lm_eval.notes import notes_of
from evaluators.lm_eval.own_marks import own_values
from evaluators.lm_eval.prompt_facts import Asked, with_prompts
from evaluators.lm_eval.question_set import Part, Selection
from evaluators.lm_eval.reference_leads import METRIC as REFERENCE_METRIC
from evaluators.lm_eval.reference_leads import reference_margins
from evaluators.lm_eval.shown_answers import shown_answers
from evaluators.lm_eval.task_marks import marked, results_of, values_of
from evaluators.lm_eval.tasks.image_files import check_images
from evaluators.lm_eval.tasks.metric_discovery import aggregation_of
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark, build_benchmark
from evaluators.lm_eval.tasks.task_filters import filters_of
from evaluators.lm_eval.tasks.task_questions import Question, Subtask
from evaluators.scores import Score
from evaluators.splits import Split
from evaluators.task_facts import ShownAnswer

_RESAMPLES = 100  # lm-eval's 100,000 take minutes; with 100 the standard error itself is good to 7 %
_NO_ERROR = "N/A"  # how lm-eval writes a standard error that is not known


class Harness:
    """An `Evaluator` that asks lm-eval's tasks.

    Tasks are built by the constructor; the requests of a split when it is first asked with one chat
    template, or with none; their tokens when a tokenizer is first seen.  All are kept, no answer ever is.

    Args:
        benchmarks: What is asked.
        batch_size: Rows of a pass.
        instruct: A parent's name says that it was trained on instructions.
    """

    def __init__(
        self, benchmarks: Sequence[Benchmark], *, batch_size: int = 64, instruct: bool = False
    ) -> None:
        self._built = tuple(build_benchmark(benchmark) for benchmark in benchmarks)
        self._asked = AskedSets(self._built, instruct=instruct)
        self._batch_size = batch_size

    def evaluate(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        items: ItemIndices | None = None,
        conditions: Conditions = STANDARD,
    ) -> tuple[Score, ...]:
        """Returns one score per benchmark, in the benchmarks' order.

        Of a benchmark that is not asked all its items, the value is the mean of those asked where the
        metric is a mean, and lm-eval's own aggregate otherwise.

        Raises:
            BadScoreError: A score, or a log-likelihood under it, is NaN or infinite.
            EvaluationError: An item cannot be put to this model.
        """
        item_set = self._asked.of(split, conditions, tokenizer)
        selection = item_set.questions.selection(items)
        asked = InMemoryModel(model, tokenizer, batch_size=self._batch_size)
        selection.ask(asked)
        scores = []
        for number, (built, parts) in enumerate(zip(self._built, selection.parts, strict=True)):
            if items is None or items[number]:
                score = replace(
                    _score(built, parts, item_set.marks[number], selection),
                    item_set=item_set.facts[number].fingerprint,
                    notes=notes_of(built, parts, selection),
                )
                if items is not None and len(items[number]) < item_set.facts[number].size:
                    score = replace(score, item_indices=items[number])
                elif split == "search" and score.per_item and score.higher_is_better:
                    marks = item_set.marks[number]
                    score = replace(score, margins=_margins(built, parts, marks, selection, asked, score))
                score.check()
                scores.append(score)
        return tuple(scores)

    def shown(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        items: ItemIndices,
    ) -> tuple[tuple[ShownAnswer, ...], ...]:
        """Returns, per benchmark, what a model answers to some items, with prompts as it sees them.

        Raises:
            EvaluationError: An item cannot be put to this model.
        """
        selection = self._asked.of(split, STANDARD, tokenizer).questions.selection(items)
        selection.ask(InMemoryModel(model, tokenizer, batch_size=self._batch_size))
        found = []
        for built, parts in zip(self._built, selection.parts, strict=True):
            first = 0
            of_benchmark: list[ShownAnswer] = []
            for subtask, part in zip(built.subtasks, parts, strict=True):
                of_benchmark += shown_answers(subtask, part, selection, first=first)
                first += len(subtask.items[split])
            found.append(tuple(of_benchmark))
        return tuple(found)

    def item_sets(
        self,
        split: Split,
        conditions: Conditions = STANDARD,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> tuple[ItemSet, ...]:
        """Returns what each benchmark asks on a split, of models with this tokenizer."""
        return self._asked.of(split, conditions, tokenizer).facts


def inspect_benchmarks(
    benchmarks: Sequence[Benchmark], asked: Asked | None = None
) -> tuple[BenchmarkFacts | EvaluationError, ...]:
    """Finds out, without any weights, what each benchmark asks, and how, or why it cannot be asked.

    Args:
        benchmarks: What is asked.
        asked: Whose tokenizers make prompts, where they are known.
    """
    found: list[BuiltBenchmark | EvaluationError] = []
    for benchmark in benchmarks:
        try:
            found.append(build_benchmark(benchmark))
        except EvaluationError as error:
            found.append(error)
    built = [one for one in found if isinstance(one, BuiltBenchmark)]
    refused = cross_overlaps(built)
    return tuple(
        one
        if isinstance(one, EvaluationError)
        else refused.get(one.benchmark.name) or _inspected(one, asked or Asked())
        for one in found
    )


def _inspected(built: BuiltBenchmark, asked: Asked) -> BenchmarkFacts | EvaluationError:
    try:
        for subtask in built.subtasks if any(subtask.sees for subtask in built.subtasks) else ():
            check_images(subtask.task, (item for items in subtask.items.values() for item in items))
        return with_prompts(facts_of(built), built, asked)
    except EvaluationError as error:
        return error


def _score(
    built: BuiltBenchmark, parts: Sequence[Part], marks: Sequence[ChoiceMarks | None], selection: Selection
) -> Score:
    """Scores a benchmark whose requests have been answered."""
    asked = [one for one in zip(built.subtasks, parts, marks, strict=True) if one[1].questions]
    subtasks = [subtask for subtask, _, _ in asked]
    values: list[list[Any]] = []
    sizes: list[int] = []
    for subtask, part, mark in asked:
        if mark is not None:
            values.append(mark.of(part.rows, selection.totals(part)))
            sizes.append(len(values[-1]))
        else:
            selection.hand_out(part)
            found_values, size = _marked_values(built, subtask, part, selection)
            values.append(found_values)
            sizes.append(size)
    aggregates = [aggregation_of(subtask.task, built.metric) for subtask in subtasks]
    found = [_with_error(*one) for one in zip(values, aggregates, strict=True)]
    value, error = found[0]
    if built.group is not None:
        errors = [error if len(one) > 1 else _NO_ERROR for (_, error), one in zip(found, values, strict=True)]
        means = [mean_of_task for mean_of_task, _ in found]
        value, error = _of_group(built.group, built, subtasks, list(zip(means, errors, sizes, strict=True)))
    items = [item for of_task in values for item in of_task]
    # Only a mean's items are the metric on each item; others are pairs, or logarithms of it.
    plain = all(aggregate is mean for aggregate in aggregates) and all(map(_is_number, items))
    plain = plain and len(items) == sum(
        len(part.questions) for part in parts
    )  # an item may have no such metric
    per_item = tuple(map(float, items)) if plain else ()
    return Score(built.benchmark.name, built.metrics[0], value, error, built.higher_is_better, per_item)


def _margins(
    built: BuiltBenchmark,
    parts: Sequence[Part],
    marks: Sequence[ChoiceMarks | None],
    selection: Selection,
    model: InMemoryModel,
    score: Score,
) -> tuple[float, ...]:
    """Returns all items' margins; () where any has none."""
    found, start = [], 0
    for subtask, part, mark in zip(built.subtasks, parts, marks, strict=True):
        values = score.per_item[start : start + len(part.questions)]
        start += len(part.questions)
        if mark is not None:
            found.append(mark.margins(part.rows, selection.totals(part)))
        elif part.questions:
            margins_n = None
            if built.own is None and built.metric == REFERENCE_METRIC:
                margins_n = reference_margins(subtask, part, values, selection, model)
            if margins_n is None:
                return ()
            found.append(margins_n)
    margins_N = np.concatenate(found)
    return tuple(margins_N.tolist()) if np.isfinite(margins_N).all() else ()


def _marked_values(
    built: BuiltBenchmark, subtask: Subtask, part: Part, selection: Selection
) -> tuple[list[Any], int]:
    """Returns what the metric aggregates, one value per item that has one, and the task's size in a group."""
    if built.own is not None:
        made, base = selection.generated(part), built.base_metric
        values = own_values(built.own, subtask, part, made, base_metric=base, kind=built.filter)
        return values, len(values)
    results = results_of(subtask, part.questions, built.filter)
    return values_of(built.metric, subtask, results), _size(subtask, part.questions, results)


def _size(subtask: Subtask, questions: Sequence[Question], results: Sequence[Mapping[str, Any]]) -> int:
    """Returns how many items a group counts for a task: those that the most frequent metric was given on."""
    counts = Counter(name for result in results for name in result)
    if max(counts.values()) < len(questions):
        for ensemble in filters_of(subtask.task):
            others = (marked(subtask.task, question, ensemble.name) for question in questions)
            counts |= Counter(name for result in others for name in result)
    return max(counts.values())


def _with_error(values: Sequence[Any], aggregate: Callable[[Sequence[Any]], Any]) -> tuple[float, float]:
    """Returns the aggregated value and its standard error (0 for a single item).

    The mean's error is lm-eval's (sample standard deviation over the root of n); that of any other
    aggregation is bootstrapped with a fixed seed.
    """
    value = _aggregated(aggregate, values)
    if len(values) < 2 or not math.isfinite(value):
        return value, 0.0
    if aggregate is mean:
        return value, float(mean_stderr(values))
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(_RESAMPLES, len(values)))
    found = np.array([_aggregated(aggregate, [values[n] for n in draw]) for draw in draws])
    found = found[np.isfinite(found)]  # a resample of one class only has no correlation, say
    return value, float(found.std(ddof=1)) if len(found) > 1 else 0.0


def _aggregated(aggregate: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> float:
    try:
        return float(aggregate(values))
    except ArithmeticError:  # the perplexity of a broken model is too large for a float
        return math.inf


def _of_group(
    group: Group,
    built: BuiltBenchmark,
    subtasks: Sequence[Subtask],
    found: Sequence[tuple[float, float | str, int]],
) -> tuple[float, float]:
    """Averages a group's tasks as the group itself lays down; a metric of ours as that which marks answers.

    Args:
        group: With its rules.
        built: Which metric is wanted.
        subtasks: Those of its tasks that were asked.
        found: Per task its value, standard error and number of items.
    """
    value_key = f"{built.base_metric},{built.filter}"
    error_key = f"{built.base_metric}_stderr,{built.filter}"
    parts = {
        subtask.task.task_name: {value_key: value, error_key: error, "sample_len": size}
        for subtask, (value, error, size) in zip(subtasks, found, strict=True)
    }
    whole = group.aggregate(parts)
    return float(whole[value_key]), 0.0 if whole[error_key] == _NO_ERROR else float(whole[error_key])


def _is_number(item: object) -> bool:
    return isinstance(item, int | float | np.number | np.bool_)
