"""Marks by lm-eval's own filters and `process_results`.  Here "task", "metric", "filter" are lm-eval's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluators.errors import UnknownMetricError
from evaluators.lm_eval.tasks.task_filters import apply_filter, apply_filters
from evaluators.lm_eval.tasks.task_questions import Question, Subtask, Task


def results_of(subtask: Subtask, questions: Sequence[Question], kind: str) -> list[Mapping[str, Any]]:
    """Returns all metrics on each item, of the answers that its requests hold, read through one filter."""
    task = subtask.task
    apply_filters(task, (request for question in questions for request in question.requests))
    return [marked(task, question, kind) for question in questions]


def single_results_of(subtask: Subtask, questions: Sequence[Question], kind: str) -> list[Mapping[str, Any]]:
    """Returns the same where other filters may need more answers than the requests hold."""
    apply_filter(subtask.task, (request for question in questions for request in question.requests), kind)
    return [marked(subtask.task, question, kind) for question in questions]


def marked(task: Task, question: Question, kind: str) -> Mapping[str, Any]:
    """Returns all metrics on an item whose answers were filtered."""
    answers = [request.filtered_resps[kind] for request in question.requests]
    found: Mapping[str, Any] = task.process_results(question.item, answers)
    return found


def values_of(metric: str, subtask: Subtask, results: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Returns a metric's values, one per item that has one.

    Raises:
        UnknownMetricError: No item has one.
    """
    values = [result[metric] for result in results if metric in result]
    if not values:
        given = ", ".join(sorted({name for result in results for name in result}))
        raise UnknownMetricError(
            "metric", f"{subtask.task.config.task} gave no {metric} but {given}", "ask for one of those"
        )
    return values
