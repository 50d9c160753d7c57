"""Metrics that every task which has the model write can be scored by, beside those of its file.

Here "task", "metric" and "filter" are lm-eval's words.  A metric of this name in the task's own file goes
before these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError, UnknownMetricError
from evaluators.inference.prompts import Generated
from evaluators.lm_eval.tasks.metric_discovery import offer_of
from evaluators.lm_eval.tasks.task_filters import answers_read, filters_of
from evaluators.lm_eval.tasks.task_questions import Subtask, Task

_OF_ANSWERS = re.compile(r"(?P<way>pass|maj|avg)@(?P<count>[1-9]\d{0,4})(:(?P<base>[^,]+))?")


@dataclass(frozen=True, slots=True)
class TokenMetric:
    """How many tokens an answer takes; fewer are better.  The mean over an item's repeated answers.

    Attributes:
        count: From what was generated to a number.
        of_reasoning: It means nothing where reasoning has no end.
    """

    name: str
    count: Callable[[Generated], int]
    of_reasoning: bool = False


@dataclass(frozen=True, slots=True)
class AnswersMetric:
    """What an item's repeated answers are worth together, each marked as if it were the only one.

    Attributes:
        way: `pass`: the chance that one of `count` answers is right, unbiased from all answers (Chen et
            al., arXiv 2107.03374, equation 1).  `maj`: the mark of the most frequent of the first `count`
            answers as the filter reads them, the earliest of equally frequent ones, as in lm-eval.
            `avg`: the mean mark of the first `count`.
        count: See `way`.
        base: The metric that marks single answers; None takes the task's first.
    """

    name: str
    way: str
    count: int
    base: str | None = None


OwnMetric = TokenMetric | AnswersMetric

TOKEN_METRICS: Mapping[str, TokenMetric] = {
    one.name: one
    for one in (
        TokenMetric("answer_tokens", lambda made: made.tokens - made.reasoning),
        TokenMetric("reasoning_tokens", lambda made: made.reasoning, of_reasoning=True),
        TokenMetric("generated_tokens", lambda made: made.tokens),
    )
}


def own_metric(name: str | None) -> OwnMetric | None:
    """Returns the metric of this name, a filter behind it or not; None where it is none of these."""
    metric = (name or "").partition(",")[0]
    if metric in TOKEN_METRICS:
        return TOKEN_METRICS[metric]
    found = _OF_ANSWERS.fullmatch(metric)
    return found and AnswersMetric(metric, found["way"], int(found["count"]), found["base"])


def chosen_own_metric(benchmark: Benchmark, tasks: Sequence[Task]) -> OwnMetric | None:
    """Returns the metric of this module that a benchmark is scored by; None where it is the task's own.

    Raises:
        EvaluationError: It counts reasoning, and nothing says where that ends.
    """
    own = own_metric(benchmark.metric)
    if own is None or any(own.name in offer_of(task).names for task in tasks):
        return None
    if isinstance(own, TokenMetric) and own.of_reasoning and benchmark.chat.think_end is None:
        detail = f"{own.name} counts what stands before the end of reasoning, and none is named"
        raise EvaluationError("chat.think_end", detail, "write chat: {think_end: </think>}, say")
    return own


def in_the_tasks_words(benchmark: Benchmark, own: OwnMetric) -> Benchmark:
    """Returns the benchmark with the task's metric that single answers are marked by."""
    kind = (benchmark.metric or "").partition(",")[2]
    base = own.base if isinstance(own, AnswersMetric) else None
    metric = base and (f"{base},{kind}" if kind else base)
    return benchmark.model_copy(update={"metric": metric, "filter": benchmark.filter or kind or None})


def check_own_metric(own: OwnMetric, subtask: Subtask, base_metric: str, *, higher_is_better: bool) -> None:
    """Refuses what repeated answers cannot be worth.

    Args:
        own: What is wanted.
        subtask: Of the task.
        base_metric: What marks single answers, with its filter.
        higher_is_better: Of that metric.

    Raises:
        EvaluationError: There are too few of them, or they are all alike.
        UnknownMetricError: The task has the model write nothing, or what marks it is no right or wrong.
    """
    if not subtask.generates:
        name = subtask.task.config.task
        detail = f"{name} compares given texts, and {own.name} is of answers that the model writes"
        raise UnknownMetricError("metric", detail, "choose a task that generates, or another metric")
    if isinstance(own, TokenMetric):
        return
    repeats = subtask.task.config.repeats
    kind = base_metric.partition(",")[2]
    if any(one.name == kind and answers_read(one) > 1 for one in filters_of(subtask.task)):
        detail = f"{own.name} marks answers one by one, and filter {kind} reads several at once"
        raise EvaluationError("filter", detail, "choose a filter that reads one answer, or the task's metric")
    if own.count > repeats:
        detail = f"{own.name} needs {own.count} answers, and each item is asked {repeats} times"
        raise EvaluationError("generation.repeats", detail, f"write repeats: {own.count}, or more")
    if own.way == "pass" and not higher_is_better:
        detail = f"{own.name} counts right answers, and of {base_metric} less is better"
        raise UnknownMetricError("metric", detail, f"use avg@{own.count}")
    if repeats > 1 and not subtask.samples:
        detail = f"all {repeats} answers are the likeliest tokens, so that they are equal"
        raise EvaluationError("generation.temperature", detail, "write temperature: 0.7, say")
