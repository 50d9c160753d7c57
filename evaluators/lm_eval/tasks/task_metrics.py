"""Which of a task's metrics is meant.  Here "task", "metric", "filter" and "group" are lm-eval's words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from evaluators.benchmark import Benchmark
from evaluators.errors import UnknownMetricError
from evaluators.lm_eval.names.suggestion import suggestion
from evaluators.lm_eval.tasks.metric_discovery import Offer, aggregation_of, offer_of
from evaluators.lm_eval.tasks.task_questions import Task

_log = logging.getLogger(__name__)


def choose_metric(
    benchmark: Benchmark,
    tasks: Sequence[Task],
    group: Any,  # noqa: ANN401 - lm-eval's Group
) -> tuple[tuple[str, ...], list[Task]]:
    """Returns every `metric,filter` that a task or group is scored by, the chosen one first, and its tasks.

    As in lm-eval, a group's score is that of those tasks which have the metric; the others are left out.

    Raises:
        UnknownMetricError: The benchmark's metric is none of them.
    """
    offers = [offer_of(task) for task in tasks]
    known = list(dict.fromkeys(_of_group(group, offers) if group else _of_task(offers[0])))
    wanted = _wanted(benchmark, known)
    chosen = _chosen(wanted, known, None if group else offers[0])
    metric, _, kind = chosen.partition(",")
    used = [task for task, offer in zip(tasks, offers, strict=True) if offer.has(metric, kind)]
    if not used:
        shown = ", ".join(known) or "none at all"
        raise UnknownMetricError(
            "metric", f"{benchmark.task} has no metric {wanted!r}; it has {shown}", suggestion(wanted, known)
        )
    if any(not callable(aggregation_of(task, metric)) for task in used):
        raise UnknownMetricError(
            "metric", f"{benchmark.task} gives {chosen} an unknown aggregation", "write `aggregation: mean`"
        )
    if len(used) < len(tasks):
        missing = ", ".join(str(task.config.task) for task in tasks if task not in used)
        _log.warning("%s is scored without the tasks that have no %s: %s", benchmark.task, chosen, missing)
    return (chosen, *(one for one in known if one != chosen)), used


def _wanted(benchmark: Benchmark, known: Sequence[str]) -> str:
    """Returns the metric that the user wants, with its filter if one is named.

    Raises:
        UnknownMetricError: No metric is read through the filter, or two filters are named.
    """
    if benchmark.filter is None:
        return benchmark.metric if benchmark.metric is not None else (known or [""])[0]
    metric, _, kind = (benchmark.metric or "").partition(",")
    if kind and kind != benchmark.filter:
        detail = f"{benchmark.filter!r} is not the filter of {benchmark.metric!r}"
        raise UnknownMetricError("filter", detail, "keep one of them")
    filters = list(dict.fromkeys(one.partition(",")[2] for one in known))
    if benchmark.filter not in filters:
        detail = f"{benchmark.task} has no filter {benchmark.filter!r}; it has {', '.join(filters)}"
        raise UnknownMetricError("filter", detail, suggestion(benchmark.filter, filters))
    first = next(one for one in known if one.partition(",")[2] == benchmark.filter)
    return f"{metric},{benchmark.filter}" if metric else first


def group_rule(group: Any, metric: str, kind: str) -> Any:  # noqa: ANN401 - lm-eval's Group and AggMetricConfig
    """Returns the group's rule that a metric through a filter is averaged by; of several the last."""
    rules = [rule for rule in group.aggregate_metric_list if rule.metric == metric]
    return next(rule for rule in reversed(rules) if rule.filter_list is None or kind in rule.filter_list)


def _of_task(offer: Offer) -> Iterator[str]:
    for name in offer.names:
        yield from (f"{name},{kind}" for kind in offer.filters)


def _of_group(group: Any, offers: Sequence[Offer]) -> Iterator[str]:  # noqa: ANN401
    """Yields what a group averages: per rule, the filters that it names, or all that its tasks have."""
    filters = list(dict.fromkeys(kind for offer in offers for kind in offer.filters))
    for rule in group.aggregate_metric_list:
        for kind in filters if rule.filter_list is None else rule.filter_list:
            if any(offer.has(rule.metric, kind) for offer in offers):
                yield f"{rule.metric},{kind}"


def _chosen(wanted: str, known: Sequence[str], offer: Offer | None) -> str:
    """Returns the `metric,filter` that is meant; nothing where there is no such.

    Args:
        wanted: A metric, with or without its filter.
        known: All there are, as far as is known.
        offer: Of a single task, which may give more than is known.
    """
    matching = (one for one in known if wanted in (one, one.partition(",")[0]))
    if (found := next(matching, None)) is not None:
        return found
    name, _, kind = wanted.partition(",")
    kind = kind or (offer.filters[0] if offer is not None else "")
    return f"{name},{kind}" if name and offer is not None and offer.has(name, kind) else ""
