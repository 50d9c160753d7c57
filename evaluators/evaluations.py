"""Evaluations of whole tasks, as lm-eval's own command does them: what is asked, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evaluators.chat import Chat


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is asked and how, in lm-eval's sense.

    Attributes:
        tasks: Names of tasks, groups and tags.
        folders: With the user's own task files.
        shots: Solved examples before each question; None leaves it to the tasks.
        limit: Most items of each task; below 1, the share of them; None asks all.
        chat: Whether and how chat templates are applied; `apply` is `on` or `off`.
        generation: Goes before the tasks' own generation settings.
        batch_size: Rows of a pass.
        keep_samples: Every item with its prompt and answers is kept in the results.
    """

    tasks: tuple[str, ...]
    folders: tuple[str, ...] = ()
    shots: int | None = None
    limit: float | None = None
    chat: Chat = field(default_factory=lambda: Chat(apply="off"))
    generation: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 64
    keep_samples: bool = False


@dataclass(frozen=True, slots=True)
class TaskAnswers:
    """What a metric gave on each item of a task, by the item's place in the task's data.

    Attributes:
        metric: With its filter: `acc,none`.
        groups: The groups that the task was asked as a part of.
    """

    task: str
    metric: str
    values: Mapping[int, float]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a model came to.

    Attributes:
        model: Its name.
        results: lm-eval's results.
        table: lm-eval's table of them, in Markdown; that of the groups follows where there are any.
        answers: Per task and metric, where items have numbers.
        cut: How many prompts lost their beginning because the model reads no more.
        has_template: Its tokenizer has a chat template.
        seconds: That asking and marking took, loading not counted.
    """

    model: str
    results: Mapping[str, Any]
    table: str
    answers: tuple[TaskAnswers, ...]
    cut: int = 0
    has_template: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One model against another on the same items of a task or group.

    Attributes:
        metric: With its filter.
        value: Of the model.
        other_value: Of the other.
        difference: The model's value less the other's, as they are: where lower is better, a negative
            one is good.
        stderr: Its standard error, of the items' differences; None where items have no numbers, or the
            value is not their mean.
        better, worse: Items on which the model's number is larger, and smaller.
        p_value: Two-sided, of the exact test of `better` against `worse`; None where there is no error.
        items: That both answered.
    """

    model: str
    other: str
    task: str
    metric: str
    value: float
    other_value: float
    difference: float
    higher_is_better: bool | None
    stderr: float | None = None
    better: int = 0
    worse: int = 0
    p_value: float | None = None
    items: int = 0
