"""How a machine is divided among workers: how many there are, and what each one gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workers.checkpoints.layout import Layout
from workers.errors import PreparationError
from workers.protocol.messages import Workload

PROCESS_BYTES = 1_000_000_000  # torch, transformers and lm-eval, before any model


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """What each of `count` workers gets."""

    count: int
    threads: int
    gpus: float


def divide(
    workload: Workload, layouts: Sequence[Layout], *, cpus: int, gpus: int, memory: int
) -> WorkerResources:
    """Returns how many workers there will be, and what each gets.

    One worker per GPU or share of one; without GPUs one per core, as far as memory (bytes) allows.

    Raises:
        PreparationError: There is no GPU where one is demanded, or not GPUs or memory enough for one worker.
    """
    wants_gpu = workload.device != "cpu" and gpus > 0
    if workload.device.startswith("cuda") and not gpus:
        raise PreparationError("device", f"{workload.device}, but Ray knows of no GPU", "use auto or cpu")
    fitting = int(gpus / workload.gpus_per_worker) if wants_gpu else _fitting_memory(layouts, memory, cpus)
    if fitting < 1:
        detail = f"{workload.gpus_per_worker:g} GPUs for each worker, there are {gpus}"
        raise PreparationError("gpus_per_worker", detail, "ask for fewer")
    count = min(workload.count or fitting, fitting)
    return WorkerResources(count, max(cpus // count, 1), workload.gpus_per_worker if wants_gpu else 0.0)


def _fitting_memory(layouts: Sequence[Layout], memory: int, cpus: int) -> int:
    parents = sum(layout.bytes for layout in layouts)  # mapped from files, so that workers share them
    each = PROCESS_BYTES + 2 * max((layout.bytes for layout in layouts), default=0)
    fitting = (memory - parents) // each
    if fitting < 1:
        raise PreparationError(
            "memory",
            f"one worker and the parents need {(parents + each) / 1e9:.1f} GB, there are {memory / 1e9:.1f}",
            "use smaller parents or a machine with more memory",
        )
    return min(int(fitting), cpus)
