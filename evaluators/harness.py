"""Harness: scores models in memory on lm-eval's tasks.

With `task_building.py` the adapter to lm-eval: no other module imports it.  Here "task", "request",
"metric", "filter" and "group" are lm-eval's words.

lm-eval's own loop rebuilds tasks, requests and tokens for every model; here they are built once and
only the answers change.  Where a task is marked by lm-eval's own code alone, by which of its choices is
likeliest, whole arrays are marked at once; lm-eval's filters and metrics do all the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean, mean_stderr
from lm_eval.api.task import ConfigurableTask
from lm_eval.filters.selection import TakeFirstFilter
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.base import BenchmarkFacts, Sheet
from evaluators.benchmark import Benchmark
from evaluators.benchmark_facts import cross_overlaps, facts_of
from evaluators.choice_marks import CHOICE_LENGTHS, ChoiceMarks
from evaluators.conditions import STANDARD, Conditions
from evaluators.errors import EvaluationError, UnknownMetricError
from evaluators.language_model import InMemoryModel
from evaluators.marking_fingerprint import marking_fingerprint
from evaluators.notes import notes_of
from evaluators.racing import Items
from evaluators.scores import Score
from evaluators.sheets import Part, QuestionSheet, Selection
from evaluators.splits import Split
from evaluators.task_building import BuiltBenchmark, build_benchmark, is_mean
from evaluators.task_questions import Question, Subtask

_RESAMPLES = 100  # lm-eval's 100,000 take minutes; with 100 the standard error itself is good to 7 %
_MARKING = ("process_results", "construct_requests", "doc_to_choice", "doc_to_target", "apply_filters")
_NO_ERROR = "N/A"  # how lm-eval writes a standard error that is not known


class Harness:
    """An `Evaluator` that asks lm-eval's tasks.

    Tasks are built by the constructor; the requests of a split when it is first asked; their tokens
    when a tokenizer is first seen.  All are kept, no answer ever is.
    """

    def __init__(self, benchmarks: Sequence[Benchmark], *, batch_size: int = 64) -> None:
        self._built = tuple(build_benchmark(benchmark) for benchmark in benchmarks)
        self._markings = [marking_fingerprint(built) for built in self._built]
        self._batch_size = batch_size
        self._sheets: dict[tuple[Split, Conditions], _AskedSheet] = {}

    def evaluate(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        items: Items | None = None,
        conditions: Conditions = STANDARD,
    ) -> tuple[Score, ...]:
        """Returns one score per benchmark, in the benchmarks' order.

        Of a benchmark that is not asked all its items, the value is the mean of those asked where the
        metric is a mean, and lm-eval's own aggregate otherwise.

        Raises:
            BadScoreError: A score, or a log-likelihood under it, is NaN or infinite.
            EvaluationError: An item cannot be put to this model.
        """
        sheet = self._sheet(split, conditions)
        selection = sheet.questions.selection(items)
        selection.ask(InMemoryModel(model, tokenizer, batch_size=self._batch_size))
        scores = []
        for number, (built, parts) in enumerate(zip(self._built, selection.parts, strict=True)):
            if items is None or items[number]:
                score = replace(
                    _score(built, parts, sheet.marks[number], selection),
                    sheet=sheet.facts[number].fingerprint,
                    notes=notes_of(built, parts, selection),
                )
                if items is not None and len(items[number]) < sheet.facts[number].size:
                    score = replace(score, items=items[number])
                elif split == "search" and score.per_item and score.higher_is_better:
                    score = replace(score, margins=_margins(parts, sheet.marks[number], selection))
                score.check()
                scores.append(score)
        return tuple(scores)

    def sheets(self, split: Split, conditions: Conditions = STANDARD) -> tuple[Sheet, ...]:
        """Returns what each benchmark asks on a split."""
        return self._sheet(split, conditions).facts

    def _sheet(self, split: Split, conditions: Conditions) -> _AskedSheet:
        key = split, conditions
        if key not in self._sheets:
            asked = [[task.questions(split, conditions) for task in built.subtasks] for built in self._built]
            sheet = QuestionSheet(asked)
            moved = [any(subtask.can_feel(conditions) for subtask in one.subtasks) for one in self._built]
            names = [built.benchmark.name for built in self._built]
            prints = sheet.fingerprints(self._markings)
            facts = zip(sheet.sizes, prints, map(is_mean, self._built), moved, names, strict=True)
            marks = [
                [_marks(built, *one) for one in zip(built.subtasks, of_tasks, strict=True)]
                for built, of_tasks in zip(self._built, asked, strict=True)
            ]
            self._sheets[key] = _AskedSheet(sheet, tuple(Sheet(*each) for each in facts), marks)
        return self._sheets[key]


@dataclass(frozen=True, slots=True)
class _AskedSheet:
    """One split's questions, what is known of them, and per benchmark and task how they are marked."""

    questions: QuestionSheet
    facts: tuple[Sheet, ...]
    marks: Sequence[Sequence[ChoiceMarks | None]]


def _marks(built: BuiltBenchmark, subtask: Subtask, questions: Sequence[Question]) -> ChoiceMarks | None:
    """Returns how choices are marked in arrays; None where only lm-eval itself can tell.

    Its own code, one answer per choice, no template of a user's that is a function: then a mark follows
    from which choice is likeliest, and from nothing else.
    """
    task, config = subtask.task, subtask.task.config
    own = all(getattr(type(task), name) is getattr(ConfigurableTask, name) for name in _MARKING)
    functions = (config.process_results, config.doc_to_choice, config.doc_to_target)
    chosen = next(one for one in task._filters if one.name == built.filter)
    if (
        own
        and config.output_type == "multiple_choice"
        and built.metric in CHOICE_LENGTHS
        and not any(map(callable, functions))
        and not task.multiple_input
        and task.prompt is None
        and "acc_mutual_info" not in task.aggregation()  # asks each choice twice
        and config.repeats == 1
        and [type(make()) for make in chosen.filters] == [TakeFirstFilter]
    ):
        return ChoiceMarks(task, built.metric, questions)
    return None


def inspect_benchmarks(benchmarks: Sequence[Benchmark]) -> tuple[BenchmarkFacts | EvaluationError, ...]:
    """Finds out, without any model, what each benchmark asks, or why it cannot be asked."""
    found: list[BuiltBenchmark | EvaluationError] = []
    for benchmark in benchmarks:
        try:
            found.append(build_benchmark(benchmark))
        except EvaluationError as error:
            found.append(error)
    built = [one for one in found if isinstance(one, BuiltBenchmark)]
    refused = cross_overlaps(built)
    return tuple(
        one if isinstance(one, EvaluationError) else refused.get(one.benchmark.name) or facts_of(one)
        for one in found
    )


def _score(
    built: BuiltBenchmark, parts: Sequence[Part], marks: Sequence[ChoiceMarks | None], selection: Selection
) -> Score:
    """Scores a benchmark whose requests have been answered."""
    asked = [one for one in zip(built.subtasks, parts, marks, strict=True) if one[1].questions]
    subtasks = [subtask for subtask, _, _ in asked]
    values: list[list[Any]] = []
    for subtask, part, mark in asked:
        if mark is not None:
            values.append(mark.of(part.rows, selection.totals(part)))
        else:
            selection.hand_out(part)
            values.append(_values(built, subtask, part.questions))
    aggregates = [subtask.task.aggregation()[built.metric] for subtask in subtasks]
    found = [_with_error(*one) for one in zip(values, aggregates, strict=True)]
    value, error = found[0]
    if built.group is not None:
        value, error = _of_group(built.group, built, subtasks, found, values)
    items = [item for of_task in values for item in of_task]
    # Only a mean's items are the metric on each item; others are pairs, or logarithms of it.
    plain = all(aggregate is mean for aggregate in aggregates) and all(map(_is_number, items))
    plain = plain and len(items) == sum(
        len(part.questions) for part in parts
    )  # an item may have no such metric
    per_item = tuple(map(float, items)) if plain else ()
    return Score(built.benchmark.name, built.metrics[0], value, error, built.higher_is_better, per_item)


def _margins(
    parts: Sequence[Part], marks: Sequence[ChoiceMarks | None], selection: Selection
) -> tuple[float, ...]:
    """Returns all items' margins; () where any has none, or is marked by lm-eval itself."""
    asked = [pair for pair in zip(parts, marks, strict=True) if pair[0].questions]
    found = [mark.margins(part.rows, selection.totals(part)) for part, mark in asked if mark is not None]
    if len(found) < len(asked):
        return ()
    margins_N = np.concatenate(found)
    return tuple(margins_N.tolist()) if np.isfinite(margins_N).all() else ()


def _values(built: BuiltBenchmark, subtask: Subtask, questions: tuple[Question, ...]) -> list[Any]:
    """Returns what the metric aggregates, one value per item that has one."""
    task, metric = subtask.task, built.metric
    task._instances = [request for question in questions for request in question.requests]
    task.apply_filters()
    results = [
        task.process_results(
            question.item, [request.filtered_resps[built.filter] for request in question.requests]
        )
        for question in questions
    ]
    values = [result[metric] for result in results if metric in result]
    if not values:
        raise UnknownMetricError(
            "metric", f"{task.config.task} gave no {metric} but {sorted(results[0])}", "ask for one of those"
        )
    return values


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
    found: Sequence[tuple[float, float]],
    values: Sequence[Sequence[Any]],
) -> tuple[float, float]:
    """Averages a group's tasks as the group itself lays down."""
    value_key = built.metrics[0]
    error_key = f"{built.metric}_stderr,{built.filter}"
    parts = {
        subtask.task.task_name: {
            value_key: value,
            error_key: error if len(items) > 1 else _NO_ERROR,
            "sample_len": len(items),
        }
        for subtask, (value, error), items in zip(subtasks, found, values, strict=True)
    }
    whole = group.aggregate(parts)
    return float(whole[value_key]), 0.0 if whole[error_key] == _NO_ERROR else float(whole[error_key])


def _is_number(item: object) -> bool:
    return isinstance(item, int | float | np.number | np.bool_)
