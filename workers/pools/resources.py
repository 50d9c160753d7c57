"""How a machine is divided among one experiment's workers: how many there are, and what each one gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workers.checkpoints.layout import Layout
from workers.errors import PreparationError
from workers.pools.ray_cluster import Cluster
from workers.pools.sharing import Amount, Claim
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


def capacity_of(cluster: Cluster, workload: Workload) -> Amount:
    """Returns what all experiments together may take of a cluster."""
    most = float(workload.count) if workload.count is not None else float("inf")
    return Amount(most, float(cluster.cpus), float(cluster.gpus), float(cluster.memory))


def claim_of(
    workload: Workload, layouts: Sequence[Layout], shape: WorkerResources, *, key: int
) -> Claim[int]:
    """Returns what an experiment would use of a cluster that others use as well.

    Raises:
        PreparationError: It demands more workers than there would be for it alone.
    """
    share = workload.share
    most = min(shape.count, share.maximum or shape.count)
    if share.minimum > most:
        detail = f"at least {share.minimum} are demanded, there would be {most}"
        raise PreparationError("workers", detail, "demand fewer, or add machines")
    each, parents = Amount(1.0, gpus=shape.gpus), dict[str, int]()
    if not shape.gpus:
        each = Amount(1.0, float(shape.threads), memory=float(_worker_bytes(layouts)))
        parents = {str(p): layout.bytes for p, layout in zip(workload.parents, layouts, strict=True)}
    return Claim(key, each, most, share.minimum, most, share.priority, parents)


def _worker_bytes(layouts: Sequence[Layout]) -> int:
    return PROCESS_BYTES + 2 * max((layout.bytes for layout in layouts), default=0)


def _fitting_memory(layouts: Sequence[Layout], memory: int, cpus: int) -> int:
    parents = sum(layout.bytes for layout in layouts)  # mapped from files, so that workers share them
    each = _worker_bytes(layouts)
    fitting = (memory - parents) // each
    if fitting < 1:
        raise PreparationError(
            "memory",
            f"one worker and the parents need {(parents + each) / 1e9:.1f} GB, there are {memory / 1e9:.1f}",
            "use smaller parents or a machine with more memory",
        )
    return min(int(fitting), cpus)
