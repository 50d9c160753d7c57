"""Models side by side: paired differences on the same items.  Pure: nothing is asked here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluators.evaluations import Evaluated, PairedDifference, TaskAnswers
from evaluators.sampling.statistics import PairedTest, binomial_p_value, paired_test

_SAME = 1e-9


def side_by_side(model: Evaluated, other: Evaluated) -> tuple[PairedDifference, ...]:
    """Returns the differences between two models that were asked the same, per task or group and metric."""
    return tuple(_differences(model, other))


def _differences(model: Evaluated, other: Evaluated) -> Iterator[PairedDifference]:
    directions: Mapping[str, Mapping[str, bool]] = model.results.get("higher_is_better") or {}
    for task, found in model.results["results"].items():
        theirs = other.results["results"].get(task, {})
        for metric, value in found.items():
            name, _, kind = metric.partition(",")
            if (
                not kind
                or name.endswith("_stderr")
                or not (_is_number(value) and _is_number(theirs.get(metric)))
            ):
                continue
            values = (float(value), float(theirs[metric]))
            better = directions.get(task, {}).get(name)
            yield _difference((model, other), task, metric, values, higher_is_better=better)


def _difference(
    pair: tuple[Evaluated, Evaluated],
    task: str,
    metric: str,
    values: tuple[float, float],
    *,
    higher_is_better: bool | None,
) -> PairedDifference:
    difference = values[0] - values[1]
    tests = _tests(_answers_to(pair[0], task, metric), _answers_to(pair[1], task, metric))
    stderr = _stderr(tests, difference)
    better, worse = sum(test.better for test, _ in tests), sum(test.worse for test, _ in tests)
    names = (pair[0].model, pair[1].model, task, metric)
    if stderr is None:
        return PairedDifference(*names, *values, difference, higher_is_better)
    p_value, items = binomial_p_value(better, worse), sum(size for _, size in tests)
    return PairedDifference(
        *names, *values, difference, higher_is_better, stderr, better, worse, p_value, items
    )


def _answers_to(model: Evaluated, task: str, metric: str) -> dict[str, TaskAnswers]:
    """Returns a task's answers, or those of all tasks of a group."""
    asked = [each for each in model.answers if each.metric == metric]
    own = {each.task: each for each in asked if each.task == task}
    return own or {each.task: each for each in asked if task in each.groups}


def _tests(
    ours: Mapping[str, TaskAnswers], theirs: Mapping[str, TaskAnswers]
) -> list[tuple[PairedTest, int]]:
    """Returns one test per task that both answered, with its number of items."""
    found = []
    for task, mine in ours.items():
        other = theirs.get(task)
        common = sorted(set(mine.values) & set(other.values)) if other is not None else []
        if other is not None and common:
            test = paired_test([mine.values[n] for n in common], [other.values[n] for n in common])
            found.append((test, len(common)))
    return found


def _stderr(tests: Sequence[tuple[PairedTest, int]], difference: float) -> float | None:
    """Returns the error of a difference of means, by size or plain; None where it is none of those."""
    total = sum(size for _, size in tests)
    if not tests:
        return None
    for weights in ([size / total for _, size in tests], [1 / len(tests)] * len(tests)):
        pairs = list(zip(weights, (test for test, _ in tests), strict=True))
        if abs(sum(weight * test.difference for weight, test in pairs) - difference) < _SAME:
            return math.sqrt(sum((weight * test.stderr) ** 2 for weight, test in pairs))
    return None


def _is_number(value: Any) -> bool:  # noqa: ANN401 - whatever lm-eval's results hold
    return isinstance(value, int | float) and not isinstance(value, bool)
