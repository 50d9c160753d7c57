"""Answers questions about tasks: which there are, what they ask, and what they need."""

from __future__ import annotations

from pathlib import Path

from evaluators.lm_eval.names.catalogue import find_tasks
from evaluators.task_facts import Fetched, TaskDescription, TaskList
from workers.protocol.task_orders import TaskFetch, TaskInquiry, TaskSearch, Tell


def search_tasks(search: TaskSearch) -> TaskList:
    """Returns the tasks that are asked for.

    Raises:
        EvaluationError: A folder cannot be used.
    """
    folders = tuple(map(Path, search.folders))
    return find_tasks(search.pattern, search.kind, folders, after=search.after, most=search.most)


def describe_task(inquiry: TaskInquiry) -> TaskDescription:
    """Returns all about a task.

    Raises:
        EvaluationError: It cannot be built, or the model cannot be asked so.
        WorkerError: The model's tokenizer cannot be loaded.
    """
    from evaluators.lm_eval.whole_tasks.description import (
        describe,
    )  # transformers and lm-eval are slow to import
    from workers.runtime.asked_models import asked_model

    return describe(inquiry.benchmark, asked_model(inquiry.model))


def fetch_tasks(wanted: TaskFetch, tell: Tell) -> Fetched:
    """Puts what tasks need into the cache, and tells which task is next.

    Raises:
        EvaluationError: There is no such task, or its data cannot be had.
    """
    from evaluators.lm_eval.whole_tasks.fetching import fetch  # lm-eval is slow to import

    return fetch(wanted.names, tuple(map(Path, wanted.folders)), tell)
