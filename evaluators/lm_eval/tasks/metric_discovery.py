"""Which metrics a task gives.  Here "task", "metric" and "filter" are lm-eval's words.

Part of the adapter to lm-eval.  A task's own functions give what they like: one function may return
several metrics, under names that stand nowhere in the task's file.  Such tasks mark made-up answers once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask

from evaluators.errors import EvaluationError
from evaluators.lm_eval.tasks.task_filters import apply_filters, filters_of, metric_functions
from evaluators.lm_eval.tasks.task_questions import Item, Task, foreign_code

_MOST_ITEMS = 3  # that made-up answers are marked on
_LM_EVALS_METRICS = "lm_eval.api.metrics"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a task can be scored by.

    Attributes:
        names: Its metrics, in the order of its file.
        filters: Names of its filter pipelines, in the order of its file.
        complete: It has no others; where own code could not be tried, it may have.
    """

    names: tuple[str, ...]
    filters: tuple[str, ...]
    complete: bool = True

    def has(self, metric: str, kind: str) -> bool:
        """Says whether the task gives, or may give, a metric through a filter."""
        return kind in self.filters and (metric in self.names or not self.complete)


def offer_of(task: Task) -> Offer:
    """Returns what a task can be scored by."""
    declared = tuple(name for name in task.aggregation() if isinstance(name, str))
    filters = tuple(ensemble.name for ensemble in filters_of(task))
    if not _has_own_code(task):
        return Offer(declared, filters)
    given = tuple(dict.fromkeys(name for result in _results(task) for name in result))
    if not given:
        return Offer(declared, filters, complete=False)
    # A function's own name is no metric where it returns others; what one item lacks, another may have.
    others = declared if callable(task.config.process_results) else ()
    ordered = [name for name in declared if name in given or name in others]
    return Offer((*ordered, *(name for name in given if name not in ordered)), filters)


def aggregation_of(task: Task, metric: str) -> Callable[[Sequence[Any]], Any]:
    """Returns how a metric's values on the items become one: as the task says, else their mean."""
    found: Callable[[Sequence[Any]], Any] = task.aggregation().get(metric, mean)
    return found


def _has_own_code(task: Task) -> bool:
    metrics = metric_functions(task)
    return (
        type(task).process_results is not ConfigurableTask.process_results
        or callable(task.config.process_results)
        or any(getattr(metric, "__module__", None) != _LM_EVALS_METRICS for metric in metrics)
    )


def _results(task: Task) -> Iterator[dict[str, Any]]:
    """Yields what a task makes of made-up answers, wherever its own code copes with them."""
    for item in islice(task.task_docs, _MOST_ITEMS):
        for answers in _tried(_made_up, task, item):
            yield from _tried(_marked, task, item, answers)


def _tried(run: Callable[..., Iterable[Any]], task: Task, *others: object) -> list[Any]:
    """Returns what a task's own code gives; nothing where it fails, as it may on answers that are made up."""
    try:
        with foreign_code(task.config.task):
            return list(run(task, *others))
    except EvaluationError as error:
        _log.debug("%s could not mark a made-up answer: %s", task.config.task, error)
        return []


def _marked(task: Task, item: Item, answers: Sequence[Any]) -> list[dict[str, Any]]:
    requests = [_answered(task, item, index, answer) for index, answer in enumerate(answers)]
    apply_filters(task, requests)
    kinds = [ensemble.name for ensemble in filters_of(task)]
    return [
        dict(task.process_results(item, [request.filtered_resps[kind] for request in requests]))
        for kind in kinds
    ]


def _answered(task: Task, item: Item, index: int, answer: object) -> Instance:
    kind = "loglikelihood" if task.OUTPUT_TYPE == "multiple_choice" else task.OUTPUT_TYPE
    request = Instance(request_type=kind, doc=item, arguments=("", ""), idx=index)
    request.resps = [answer] * task.config.repeats
    return request


def _made_up(task: Task, item: Item) -> Iterator[list[Any]]:
    """Yields answers, one per request: of choices the first or the last, of texts the right one or none."""
    kind = task.OUTPUT_TYPE
    if kind == "loglikelihood_rolling":
        yield [-1.0]
    elif kind == "generate_until":
        yield [str(task.doc_to_target(item))]
        yield [""]
    else:
        count = len(task.doc_to_choice(item)) if kind == "multiple_choice" else 1
        count *= 2 if "acc_mutual_info" in task.aggregation() else 1  # asks each choice twice
        for best in {0, count - 1}:
            yield [(0.0 if index == best else -1.0, False) for index in range(count)]
