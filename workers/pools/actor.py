"""Worker: what runs on the GPU side, whether Ray or this process started it.

The one place that imports the torch side late: the controller imports this module too.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evaluators import EvaluationError
from evaluators.allocation_failures import is_out_of_memory
from evaluators.errors import DataUnreachableError, UnknownTaskError
from evaluators.task_facts import Fetched, TaskDescription, TaskList
from workers.errors import DataError, NoSuchTaskError, PreparationError, TaskError, WorkerError
from workers.protocol.calibration_orders import (
    Calibrated,
    CalibrationOrder,
    Learned,
    LearningOrder,
    ProgressOf,
)
from workers.protocol.evaluation_orders import EvaluationOrder, EvaluationReport
from workers.protocol.kinship_orders import KinshipInquiry, KinshipReport
from workers.protocol.messages import (
    Announce,
    Assignment,
    Exported,
    ExportOrder,
    Job,
    JobResult,
    Outcome,
    Progress,
    Workload,
)
from workers.protocol.reproduction_orders import Reproduced, ReproductionOrder
from workers.protocol.task_orders import TaskFetch, TaskInquiry, TaskSearch, Tell

if TYPE_CHECKING:
    from workers.runtime.pipeline import Pipeline


class Worker:
    """Merges and scores one assignment at a time, for one experiment at a time.

    The environment is the controller's where it must reach a process on another machine (`HF_*`).
    """

    def __init__(
        self, name: str, *, threads: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        os.environ.update(environment or {})
        self.name, self._threads = name, threads
        self._pipeline: Pipeline | None = None

    def prepare(self, workload: Workload) -> int:
        """Readies the worker for an experiment and returns its process id.

        Raises:
            PreparationError: A parent or a benchmark is unusable, or the worker's libraries are missing.
        """
        # Before the next one: there is memory for one experiment's parents.  The same ones stay.
        resident = self._pipeline.let_go() if self._pipeline is not None else None
        self._pipeline = None
        _release_what_stayed()
        try:
            with _explained("workload"):
                from workers.runtime.pipeline import Pipeline

                self._limit_threads()
                self._pipeline = Pipeline(workload, name=self.name, resident=resident)
        except WorkerError as error:
            raise PreparationError(error.field, error.detail, error.remedy) from error
        # What is loaded by now stays.  Looking all of it over for garbage takes longer than a candidate's
        # merge, and would come in the middle of one.
        gc.freeze()
        return os.getpid()

    def work(self, assignment: Assignment) -> Outcome:
        """Merges and scores one candidate; what goes wrong is in the outcome.

        Raises:
            PreparationError: `prepare` was never called.
        """
        if self._pipeline is None:
            raise PreparationError("workload", "this worker is not ready", "call prepare first")
        self._limit_threads()
        return self._pipeline.run(assignment)

    def job(self, job: Job) -> JobResult:
        """Does a job that needs no parents in memory.

        Raises:
            WorkerError: It could not be done.
        """
        with _explained("job"):
            from workers.pools.jobs import run_job

            self._limit_threads()
            return run_job(job)

    def _limit_threads(self) -> None:
        """Keeps the calling thread to this worker's share of the cores.

        More threads than cores slow each other down, tenfold at times.
        """
        if self._threads is None:
            return
        from torch import set_num_threads

        set_num_threads(self._threads)


def merge_here(
    order: ExportOrder, progress: Progress | None = None, announce: Announce | None = None
) -> Exported:
    """Carries out an export order in this process, and tells how far it is.

    Unlike a job it imports nothing but what a merge needs: a merge waits for no evaluator.

    Raises:
        WorkerError: It could not be done.
    """
    with _explained("merge"):
        with _no_garbage():
            from workers.export.export import export

        return export(order, progress, announce)


def reproduce_here(order: ReproductionOrder) -> Reproduced:
    """Merges a checkpoint again from its lock, in this process.

    Raises:
        WorkerError: It could not be done.
    """
    with _explained("reproduction"):
        from workers.export.provenance.reproduction import reproduce

        return reproduce(order)


def _release_what_stayed() -> None:
    """Frees what an earlier experiment in this process left behind."""
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Looks for no garbage while torch is imported, which makes half a million objects that all stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def calibrate_here(order: CalibrationOrder, progress: ProgressOf) -> Calibrated:
    """Carries out a calibration order in this process, and tells how far it is.

    Raises:
        WorkerError: It could not be done.
    """
    with _explained("calibration"):
        from workers.calibration.calibrate import calibrate

        return calibrate(order, progress)


def learn_here(order: LearningOrder, progress: ProgressOf) -> Learned:
    """Carries out a learning order in this process, and tells how far it is.

    Raises:
        WorkerError: It could not be done.
    """
    with _explained("learning"):
        from workers.calibration.learn import learn

        return learn(order, progress)


def kinship_here(inquiry: KinshipInquiry) -> KinshipReport:
    """Answers an inquiry in this process.

    Raises:
        WorkerError: It could not be done.
    """
    with _explained("kinship"):
        from workers.merging.kinship import kinship

        return kinship(inquiry)


def search_tasks_here(search: TaskSearch) -> TaskList:
    """Says in this process which tasks there are.

    Raises:
        WorkerError: A task folder cannot be used.
    """
    with _explained("task"):
        from workers.whole_tasks.task_answers import search_tasks

        return search_tasks(search)


def describe_task_here(inquiry: TaskInquiry) -> TaskDescription:
    """Says in this process all about a task.

    Raises:
        WorkerError: There is no such task, it cannot be built, or the model cannot be asked so.
    """
    with _explained("task"):
        from workers.whole_tasks.task_answers import describe_task

        return describe_task(inquiry)


def fetch_tasks_here(wanted: TaskFetch, tell: Tell) -> Fetched:
    """Puts what tasks need into the cache of this machine, and tells which task is next.

    Raises:
        WorkerError: There is no such task, or its data cannot be had.
    """
    with _explained("task"):
        from workers.whole_tasks.task_answers import fetch_tasks

        return fetch_tasks(wanted, tell)


def evaluate_here(order: EvaluationOrder, tell: Tell) -> EvaluationReport:
    """Evaluates checkpoints on whole tasks in this process, and tells which is next.

    Raises:
        WorkerError: A task cannot be asked, or a checkpoint cannot be loaded.
    """
    with _explained("evaluation"):
        from workers.whole_tasks.evaluation import evaluate_checkpoints

        return evaluate_checkpoints(order, tell)


@contextmanager
def _explained(field: str) -> Iterator[None]:
    """Turns whatever is raised into an error that says what to do."""
    try:
        yield
    except WorkerError:
        raise
    except Exception as error:
        raise _explanation(error, field) from error


def _explanation(error: Exception, field: str) -> WorkerError:
    if isinstance(error, EvaluationError):
        kinds = ((UnknownTaskError, NoSuchTaskError), (DataUnreachableError, DataError))
        kind = next((ours for theirs, ours in kinds if isinstance(error, theirs)), TaskError)
        return kind(error.field, error.detail, error.remedy)
    if isinstance(error, ImportError):
        return WorkerError(
            "installation", f"a worker's library is missing ({error})", "pip install 'evomerge[worker]'"
        )
    cause = str(error).strip().splitlines() or ["no message"]
    if is_out_of_memory(error):
        remedy = "give it more memory, or use a smaller memory limit, fewer workers or a smaller batch"
        return WorkerError(field, f"out of memory: {cause[0][:500]}", remedy)
    return WorkerError(field, f"{type(error).__name__}: {cause[0][:500]}", "read the worker's log")
