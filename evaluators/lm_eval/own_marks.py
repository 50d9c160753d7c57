"""What our own metrics make of the answers to one task.  Here "task", "filter" are lm-eval's words.

An item's repeated answers give one value, so that standard errors and paired tests over items know that
they are no independent items.

Shapes: R repeated answers of an item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import Any

from evaluators.errors import UnknownMetricError
from evaluators.inference.prompts import Generated
from evaluators.lm_eval.question_set import Part
from evaluators.lm_eval.task_marks import single_results_of, values_of
from evaluators.lm_eval.tasks.own_metrics import AnswersMetric, OwnMetric, TokenMetric
from evaluators.lm_eval.tasks.task_questions import Question, Subtask


def own_values(
    own: OwnMetric,
    subtask: Subtask,
    part: Part,
    generated: Sequence[Generated],
    *,
    base_metric: str,
    kind: str,
) -> list[float]:
    """Returns one value per item.

    Args:
        own: What is wanted.
        subtask: Who marks single answers.
        part: The items, whose requests hold the answers.
        generated: The answers, in the order of the requests and their repeats.
        base_metric: What marks single answers.
        kind: The filter that reads them.

    Raises:
        UnknownMetricError: Single answers have no such mark, or it is no right or wrong.
    """
    repeats = len(generated) // len(part.questions)
    if isinstance(own, TokenMetric):
        counts = [float(own.count(one)) for one in generated]
        return [sum(counts[i : i + repeats]) / repeats for i in range(0, len(counts), repeats)]
    marks, read = _one_by_one(subtask, part.questions, repeats, base_metric, kind)
    return [_together(own, *of_item) for of_item in zip(marks, read, strict=True)]


def pass_at(wanted: int, answers: int, right: int) -> float:
    """Returns the chance that one of `wanted` answers, taken from these without replacement, is right."""
    return 1.0 - comb(answers - right, wanted) / comb(answers, wanted)


def _one_by_one(
    subtask: Subtask, questions: Sequence[Question], repeats: int, metric: str, kind: str
) -> tuple[list[list[float]], list[list[Any]]]:
    """Marks each of the items' answers as if it were the only one.

    Returns:
        Per item and answer, the mark (items x R), and what the filter read (items x R).
    """
    requests = [question.requests[0] for question in questions]
    answers = [list(request.resps) for request in requests]
    marks: list[list[float]] = [[] for _ in requests]
    read: list[list[Any]] = [[] for _ in requests]
    for number in range(repeats):
        for request, of_item in zip(requests, answers, strict=True):
            request.resps, request.filtered_resps = [of_item[number]], {}
        values = values_of(metric, subtask, single_results_of(subtask, questions, kind))
        if len(values) < len(questions):
            detail = f"{subtask.task.config.task} gave {metric} on {len(values)} of {len(questions)} items"
            raise UnknownMetricError("metric", detail, "choose a metric that each item has")
        for item, (request, value) in enumerate(zip(requests, values, strict=True)):
            marks[item].append(float(value))
            read[item].append(request.filtered_resps[kind])
    for request, of_item, found in zip(requests, answers, read, strict=True):
        request.resps, request.filtered_resps = of_item, {kind: found}
    return marks, read


def _together(own: AnswersMetric, marks: Sequence[float], read: Sequence[Any]) -> float:
    if own.way == "pass":
        if not set(marks) <= {0.0, 1.0}:
            odd = next(mark for mark in marks if mark not in (0.0, 1.0))
            detail = f"{own.name} counts right answers, and one was marked {odd:g}"
            raise UnknownMetricError("metric", detail, f"use avg@{own.count}, or name a metric of 0 and 1")
        return pass_at(own.count, len(marks), sum(map(int, marks)))
    first = marks[: own.count]
    if own.way == "avg":
        return sum(first) / own.count
    told = [repr(one) for one in read[: own.count]]
    return first[told.index(Counter(told).most_common(1)[0][0])]
