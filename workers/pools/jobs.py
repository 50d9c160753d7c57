"""Jobs: work that needs a worker's libraries, but no parents in memory."""

from __future__ import annotations

from evaluators import BenchmarkFacts
from evaluators.composite_evaluator import inspect_all
from evaluators.errors import EvaluationError
from workers.export.export import export
from workers.export.foresight import foresee
from workers.merging.kinship import kinship
from workers.protocol.calibration_orders import CalibrationOrder, LearningOrder
from workers.protocol.kinship_orders import KinshipInquiry
from workers.protocol.messages import (
    BenchmarkInquiry,
    BenchmarkProblem,
    BenchmarkReport,
    ExportInquiry,
    ExportOrder,
    Inquiry,
    Job,
    JobResult,
)
from workers.protocol.prompt_orders import PromptOrder, SampleOrder
from workers.protocol.publications import PublicationInquiry
from workers.protocol.task_orders import TaskInquiry, TaskSearch
from workers.protocol.transform_orders import (
    AdapterMergeOrder,
    ExpertMergeOrder,
    PartialMergeOrder,
    TransplantOrder,
    WeightMatchingOrder,
)
from workers.whole_tasks.task_answers import describe_task, search_tasks


def run_job(job: Job) -> JobResult:
    """Does a job.

    Raises:
        WorkerError: It could not be done.
    """
    match job:
        case ExportOrder():
            return export(job)
        case (
            WeightMatchingOrder()
            | PartialMergeOrder()
            | ExpertMergeOrder()
            | AdapterMergeOrder()
            | TransplantOrder()
        ):
            from workers.operations.carry_out import transform  # scipy is slow to import

            return transform(job)
        case CalibrationOrder():
            from workers.calibration.calibrate import calibrate  # transformers is slow to import

            return calibrate(job)
        case LearningOrder():
            from workers.calibration.learn import learn

            return learn(job)
    return _answer(job)


def _answer(inquiry: Inquiry) -> JobResult:
    match inquiry:
        case ExportInquiry():
            return foresee(inquiry.order)
        case PublicationInquiry():
            from workers.checkpoints.hub.published import published  # the Hub's client is slow to import

            return published(inquiry)
        case BenchmarkInquiry():
            return report_on_benchmarks(inquiry)
        case TaskSearch():
            return search_tasks(inquiry)
        case TaskInquiry():
            return describe_task(inquiry)
        case KinshipInquiry():
            return kinship(inquiry)
        case PromptOrder():
            from workers.runtime.prompting import answer_prompt  # transformers is slow to import

            return answer_prompt(inquiry)
        case SampleOrder():
            from workers.runtime.prompting import answer_items

            return answer_items(inquiry)


def report_on_benchmarks(inquiry: BenchmarkInquiry) -> BenchmarkReport:
    """Returns what each benchmark holds, or why it cannot be built."""
    from workers.runtime.asked_models import asked_models  # transformers is slow to import

    asked = asked_models(inquiry.merged, inquiry.parents, inquiry.templates)
    found = inspect_all(inquiry.benchmarks, asked)
    named = zip((benchmark.name for benchmark in inquiry.benchmarks), found, strict=True)
    return BenchmarkReport(tuple(_entry(name, entry) for name, entry in named))


def _entry(name: str, found: BenchmarkFacts | EvaluationError) -> BenchmarkFacts | BenchmarkProblem:
    if isinstance(found, BenchmarkFacts):
        return found
    return BenchmarkProblem(name, found.field, found.code, found.detail, found.remedy)
