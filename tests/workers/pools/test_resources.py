from __future__ import annotations

import dataclasses

import pytest

from search_spaces import Parent
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.layout import Layout
from workers.errors import PreparationError
from workers.pools.resources import WorkerResources, divide
from workers.protocol.messages import Workload

GIGABYTE = 10**9


@pytest.fixture
def layouts(workload: Workload) -> list[Layout]:
    return [inspect_checkpoint(Parent(model=parent.model)) for parent in workload.parents]


@pytest.mark.parametrize(
    ("fields", "machine", "share"),
    [
        ({"count": None}, {"cpus": 8, "gpus": 0, "memory": 64 * GIGABYTE}, WorkerResources(8, 1, 0.0)),
        ({"count": 2}, {"cpus": 8, "gpus": 0, "memory": 64 * GIGABYTE}, WorkerResources(2, 4, 0.0)),
        ({"count": 20}, {"cpus": 2, "gpus": 0, "memory": 64 * GIGABYTE}, WorkerResources(2, 1, 0.0)),
        ({"count": None}, {"cpus": 8, "gpus": 0, "memory": 3 * GIGABYTE}, WorkerResources(2, 4, 0.0)),
        (
            {"device": "auto", "count": None},
            {"cpus": 16, "gpus": 4, "memory": GIGABYTE},
            WorkerResources(4, 4, 1.0),
        ),
        (
            {"device": "cuda", "count": None, "gpus_per_worker": 0.5},
            {"cpus": 16, "gpus": 2, "memory": GIGABYTE},
            WorkerResources(4, 4, 0.5),
        ),
        (
            {"device": "auto", "count": None, "gpus_per_worker": 2.0},
            {"cpus": 16, "gpus": 4, "memory": GIGABYTE},
            WorkerResources(2, 8, 2.0),
        ),
    ],
)
def test_a_machine_is_divided_by_gpus_cores_and_memory(
    workload: Workload,
    layouts: list[Layout],
    fields: dict[str, object],
    machine: dict[str, int],
    share: WorkerResources,
) -> None:
    wanted = dataclasses.replace(workload, **fields)  # type: ignore[arg-type]
    assert divide(wanted, layouts, **machine) == share


@pytest.mark.parametrize(
    ("fields", "machine", "words"),
    [
        ({"device": "cuda:0"}, {"cpus": 8, "gpus": 0, "memory": 64 * GIGABYTE}, "knows of no GPU"),
        ({"device": "cpu"}, {"cpus": 8, "gpus": 0, "memory": GIGABYTE // 2}, "GB, there are 0.5"),
        ({"device": "auto", "gpus_per_worker": 4.0}, {"cpus": 8, "gpus": 2, "memory": GIGABYTE}, "4 GPUs"),
    ],
)
def test_a_machine_that_is_too_small_is_refused(
    workload: Workload, layouts: list[Layout], fields: dict[str, object], machine: dict[str, int], words: str
) -> None:
    wanted = dataclasses.replace(workload, **fields)  # type: ignore[arg-type]
    with pytest.raises(PreparationError, match=words):
        divide(wanted, layouts, **machine)
