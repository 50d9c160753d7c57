"""Errors of the GPU side.

* WorkInterruptedError     the caller gave the work up: nothing is wrong with it
* WorkerError              a job cannot be done; the message says what to do
  * JobTimeoutError        it took longer than it may
  * CheckpointError        a checkpoint is missing, broken, or not data
  * MismatchError          parents that do not fit together
  * MergeError             a merge that gives no usable weights
  * PreparationError       a worker cannot get ready for an experiment
  * ExportError            a checkpoint cannot be written or pushed
    * FolderTakenError     its folder exists already
  * EngineError            an inference engine cannot answer for a model
  * TaskError              a task cannot be asked
    * NoSuchTaskError      there is no such task
  * PromptError            a prompt cannot be put to a model
  * DataError              a task's data are not in the cache and cannot be fetched
"""

from __future__ import annotations


class WorkerError(ValueError):
    """A job cannot be done.

    Attributes:
        field: What is at fault (a parent, a file, a parameter).
        detail: What is wrong, with the value.
        remedy: What to do.
    """

    code = "worker_failed"

    def __init__(self, field: str, detail: str, remedy: str) -> None:
        super().__init__(f"{field}: {detail}; {remedy}")
        self.field, self.detail, self.remedy = field, detail, remedy

    def __reduce__(self) -> tuple[type[WorkerError], tuple[str, str, str]]:
        """Lets the error cross a process border unchanged."""
        return type(self), (self.field, self.detail, self.remedy)


class WorkInterruptedError(Exception):
    """The caller gave the work up, as it was asked for something else meanwhile."""


class JobTimeoutError(WorkerError):
    """A job took longer than it may."""

    code = "timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "job",
            f"not done after {seconds:g} seconds",
            "look at what it waits for, often a download or an upload that stalls, and ask again",
        )
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[JobTimeoutError], tuple[float]]:  # type: ignore[override]
        """Lets the error cross a process border unchanged."""
        return type(self), (self.seconds,)


class CheckpointError(WorkerError):
    """A checkpoint is missing, broken, or not data."""

    code = "bad_checkpoint"


class MismatchError(WorkerError):
    """Parents that do not fit together."""

    code = "parents_differ"


class MergeError(WorkerError):
    """A merge that gives no usable weights."""

    code = "merge_failed"


class PreparationError(WorkerError):
    """A worker cannot get ready for an experiment."""

    code = "preparation_failed"


class ExportError(WorkerError):
    """A checkpoint cannot be written or pushed."""

    code = "export_failed"


class FolderTakenError(ExportError):
    """A checkpoint's folder exists already."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, "exists already", "choose another folder, or add --replace")

    def __reduce__(self) -> tuple[type[FolderTakenError], tuple[str]]:  # type: ignore[override]
        """Lets the error cross a process border unchanged."""
        return type(self), (self.field,)


class EngineError(WorkerError):
    """An inference engine cannot answer for a model."""

    code = "engine_failed"


class TaskError(WorkerError):
    """A task cannot be asked."""

    code = "bad_task"


class NoSuchTaskError(TaskError):
    """There is no such task."""

    code = "unknown_task"


class PromptError(WorkerError):
    """A prompt cannot be put to a model."""

    code = "bad_prompt"


class DataError(WorkerError):
    """A task's data are not in the cache and cannot be fetched."""

    code = "data_unreachable"
