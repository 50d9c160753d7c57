"""Preparation: what a workload's candidates share.  Parents, benchmarks and the engine are made once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evaluators import EvaluationError
from evaluators.evaluator import Evaluator
from evaluators.registry import EVALUATORS
from workers.calibration.records import Records
from workers.compatibility.instruction_names import follows_instructions
from workers.compatibility.loaded_parents import load_parent
from workers.errors import PreparationError, WorkerError
from workers.protocol.messages import Workload
from workers.runtime.resident_parents import ResidentParents
from workers.runtime.vllm_engine import VllmEngine
from workers.runtime.vllm_library import load_vllm


@dataclass(frozen=True, slots=True)
class PreparedWorkload:
    """What is needed to merge and score any candidate of an experiment.

    Attributes:
        workload: What was asked for.
        device: A device of torch; `auto` is decided.
        engine: Generates in the live model's place; None where the live model does.
        evaluator: Has the benchmarks' items of all splits.
        records: Of the parents' calibrations, read as methods need them.
        parents: All their tensors, in memory.
    """

    workload: Workload
    device: str
    engine: VllmEngine | None
    evaluator: Evaluator
    records: Records
    parents: ResidentParents

    def close(self) -> None:
        """Lets the parents and the engine go."""
        self.let_go().close()

    def let_go(self) -> ResidentParents:
        """Lets all go but the parents, which are returned: the next experiment may have the same."""
        if self.engine is not None:
            self.engine.close()
        self.records.close()
        return self.parents


def prepare_workload(workload: Workload, resident: ResidentParents | None = None) -> PreparedWorkload:
    """Returns a workload with its parents and benchmarks loaded.

    Args:
        workload: What to get ready for.
        resident: Parents that are in memory: they are taken if they are these, and let go if not.

    Raises:
        PreparationError: A parent, a benchmark, the evaluator or the engine is unusable.
    """
    try:
        return _prepared(workload, resident)
    except (WorkerError, EvaluationError) as error:
        if resident is not None:
            resident.close()
        raise PreparationError(error.field, error.detail, error.remedy) from error


def _prepared(workload: Workload, resident: ResidentParents | None) -> PreparedWorkload:
    device = _device(workload.device)
    engine = VllmEngine(load_vllm(device)) if workload.backend == "vllm" else None
    if workload.evaluator not in EVALUATORS:
        known = ", ".join(sorted(EVALUATORS))
        raise PreparationError("evaluator", f"unknown {workload.evaluator!r}", f"use one of: {known}")
    layouts = {parent: load_parent(parent) for parent in workload.parents}
    evaluator: Evaluator = EVALUATORS[workload.evaluator](
        workload.benchmarks,
        batch_size=workload.batch_size,
        instruct=any(map(follows_instructions, layouts.values())),
    )
    records = Records(layouts)
    if resident is None or not resident.still_holds(layouts, device):
        if resident is not None:
            resident.close()
        resident = ResidentParents(layouts, device, record=records.record)
    resident.record_by(records.record)
    return PreparedWorkload(workload, device, engine, evaluator, records, resident)


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"
