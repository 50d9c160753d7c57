"""What lm-eval keeps private of its tasks: their filters and their metrics' functions.

The only module that reads or sets private members of lm-eval; pyproject.toml bounds its versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.filters.selection import TakeKFilter

from evaluators.lm_eval.tasks.task_questions import Task


def filters_of(task: Task) -> Sequence[Any]:
    """Returns a task's filter ensembles; each has a `name`, and a score per metric."""
    found: Sequence[Any] = task._filters
    return found


def apply_filters(task: Task, requests: Iterable[Instance]) -> None:
    """Has every filter of a task read the answers of these requests, into their `filtered_resps`."""
    task._instances = list(requests)
    task.apply_filters()


def apply_filter(task: Task, requests: Iterable[Instance], kind: str) -> None:
    """Has one filter of a task read the answers of these requests, into their `filtered_resps`."""
    next(one for one in filters_of(task) if one.name == kind).apply(list(requests))


def answers_read(ensemble: Any) -> int:  # noqa: ANN401 - lm-eval's FilterEnsemble
    """Returns how many answers of an item a filter cannot do without."""
    return max((each.k for make in ensemble.filters if isinstance(each := make(), TakeKFilter)), default=1)


def metric_functions(task: Task) -> list[Any]:
    """Returns the functions that a task's metrics are computed with."""
    return list(getattr(task, "_metric_fn_list", {}).values())
