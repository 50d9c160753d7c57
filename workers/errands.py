"""Errands: jobs that need a worker's libraries, but no parents in memory."""

from __future__ import annotations

from evaluators import BenchmarkFacts
from evaluators.composite_evaluator import inspect_all
from evaluators.errors import EvaluationError
from workers.calibration_orders import CalibrationOrder, LearningOrder
from workers.export import export
from workers.kinship import kinship
from workers.kinship_orders import KinshipInquiry
from workers.messages import (
    BenchmarkInquiry,
    BenchmarkProblem,
    BenchmarkReport,
    Errand,
    ErrandResult,
    ExportOrder,
)
from workers.transform_orders import (
    AdapterMergeOrder,
    ExpertMergeOrder,
    PartialMergeOrder,
    TransplantOrder,
    WeightMatchingOrder,
)


def run_errand(errand: Errand) -> ErrandResult:
    """Does an errand.

    Raises:
        WorkerError: It could not be done.
    """
    match errand:
        case ExportOrder():
            return export(errand)
        case BenchmarkInquiry():
            return report_on_benchmarks(errand)
        case (
            WeightMatchingOrder()
            | PartialMergeOrder()
            | ExpertMergeOrder()
            | AdapterMergeOrder()
            | TransplantOrder()
        ):
            from workers.operations.carry_out import transform  # scipy is slow to import

            return transform(errand)
        case KinshipInquiry():
            return kinship(errand)
        case CalibrationOrder():
            from workers.calibration.calibrate import calibrate  # transformers is slow to import

            return calibrate(errand)
        case LearningOrder():
            from workers.calibration.learn import learn

            return learn(errand)


def report_on_benchmarks(inquiry: BenchmarkInquiry) -> BenchmarkReport:
    """Returns what each benchmark holds, or why it cannot be built."""
    found = inspect_all(inquiry.benchmarks)
    named = zip((benchmark.name for benchmark in inquiry.benchmarks), found, strict=True)
    return BenchmarkReport(tuple(_entry(name, entry) for name, entry in named))


def _entry(name: str, found: BenchmarkFacts | EvaluationError) -> BenchmarkFacts | BenchmarkProblem:
    if isinstance(found, BenchmarkFacts):
        return found
    return BenchmarkProblem(name, found.field, found.code, found.detail, found.remedy)
