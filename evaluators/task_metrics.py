"""Which of a task's metrics is meant.  Here "task", "metric", "filter" and "group" are lm-eval's words."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from evaluators.benchmark import Benchmark
from evaluators.errors import UnknownMetricError
from evaluators.task_questions import Task


def choose_metric(benchmark: Benchmark, tasks: Sequence[Task], group: Any) -> tuple[str, ...]:  # noqa: ANN401 - lm-eval's Group
    """Returns all `metric,filter` that every task has, the chosen one first.

    Raises:
        UnknownMetricError: The benchmark's metric is none of them.
    """
    declared = [set(task.aggregation()) for task in tasks]
    names = (
        [wanted.metric for wanted in group.aggregate_metric_list] if group else list(tasks[0].aggregation())
    )
    filters = [ensemble.name for ensemble in tasks[0]._filters]
    known = [f"{name},{kind}" for name in names if all(name in one for one in declared) for kind in filters]
    wanted = benchmark.metric if benchmark.metric is not None else (known or [""])[0]
    chosen = (
        wanted if "," in wanted else next((one for one in known if one.partition(",")[0] == wanted), wanted)
    )
    if chosen not in known:
        shown = ", ".join(known) or "none at all"
        raise UnknownMetricError(
            "metric", f"{benchmark.task} has no metric {wanted!r}; it has {shown}", suggestion(wanted, known)
        )
    if any(not callable(task.aggregation()[chosen.partition(",")[0]]) for task in tasks):
        raise UnknownMetricError(
            "metric", f"{benchmark.task} gives {chosen} an unknown aggregation", "write `aggregation: mean`"
        )
    return (chosen, *(one for one in known if one != chosen))


def suggestion(name: str, known: Sequence[str]) -> str:
    """Returns a remedy for a name that is not known."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    return f"use one of: {some}" if known else "there is none at all"
