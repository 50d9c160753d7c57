"""Errors of the evaluators.

* EvaluationError          scoring cannot go on; the message says what to do
  * UnknownTaskError       no task of this name
  * UnknownMetricError     the task has no such metric
  * SplitError             the task's items do not give the three splits
  * DataUnreachableError   the task's data are not in the cache and cannot be fetched
  * BadScoreError          a score that is no finite number
  * OutOfMemoryError       not even one row fits the device's memory
"""

from __future__ import annotations


class EvaluationError(ValueError):
    """Scoring cannot go on.

    Attributes:
        field: Which part of the benchmark is at fault (`task`, `metric`, `splits` ...).
        detail: What is wrong, with the value.
        remedy: What to do.
    """

    code = "evaluation_failed"

    def __init__(self, field: str, detail: str, remedy: str) -> None:
        super().__init__(f"{field}: {detail}; {remedy}")
        self.field, self.detail, self.remedy = field, detail, remedy

    def __reduce__(self) -> tuple[type[EvaluationError], tuple[str, str, str]]:
        """Lets the error cross a process border unchanged."""
        return type(self), (self.field, self.detail, self.remedy)


class UnknownTaskError(EvaluationError):
    """No task of this name."""

    code = "unknown_task"


class UnknownMetricError(EvaluationError):
    """The task has no such metric."""

    code = "unknown_metric"


class SplitError(EvaluationError):
    """The task's items do not give the three splits."""

    code = "bad_split"


class DataUnreachableError(EvaluationError):
    """The task's data are not in the cache and cannot be fetched."""

    code = "data_unreachable"


class BadScoreError(EvaluationError):
    """A score that is no finite number."""

    code = "bad_score"


class OutOfMemoryError(EvaluationError):
    """Not even one row fits the device's memory."""

    code = "out_of_memory"
