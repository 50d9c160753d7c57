"""Kinds of items: by subject, label or answer, as far as a task has any.  Here "task" is lm-eval's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluators.errors import EvaluationError
from evaluators.lm_eval.tasks.task_questions import Item, Subtask, Task

COLUMNS = ("subtask", "subject", "category", "topic", "level", "language", "label")
_FEWEST = 10  # items of a kind on average; more kinds than that are no kinds but different answers


def kinds_of(task: Task, items: Sequence[Item]) -> list[str] | None:
    """Returns each item's kind: its subject or label, else its answer; None where they have no kinds."""
    for column in COLUMNS:
        if all(isinstance(item, Mapping) and column in item for item in items):
            kinds = [str(item[column]) for item in items]
            if _are_kinds(kinds):
                return kinds
    if isinstance(task.config.doc_to_choice, str):  # every item has its own choices, whose places say nothing
        return None
    asked = Subtask(task, {})
    try:
        answers = [asked.target_of(item) for item in items]
    except EvaluationError:  # its items have no answers of one form: that is no mistake here
        return None
    kinds = [str(answer) for answer in answers]
    return kinds if _are_kinds(kinds) else None


def _are_kinds(kinds: Sequence[str]) -> bool:
    return 2 <= len(set(kinds)) <= len(kinds) / _FEWEST
