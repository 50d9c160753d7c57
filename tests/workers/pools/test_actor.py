from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import torch

from tests.workers.recipes import linear_recipe
from workers.errors import PreparationError, WorkerError
from workers.pools.actor import Worker
from workers.protocol.messages import Assignment, ExportOrder, Scored, Workload

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from uuid import uuid4
from workers.pools.actor import Worker
from workers.errors import PreparationError
from workers.protocol.messages import Workload
try:
    Worker("worker 1").prepare(Workload(uuid4(), (), ()))
except PreparationError as error:
    print(error)
"""


def test_a_worker_works_after_it_was_prepared(workload: Workload, tiny_parents: dict[str, Path]) -> None:
    worker = Worker("worker 1", threads=1)
    assignment = Assignment(uuid4(), 0, linear_recipe([tiny_parents["left"]], (1.0,)))
    with pytest.raises(PreparationError, match="call prepare first"):
        worker.work(assignment)
    assert worker.prepare(workload) == os.getpid()
    assert isinstance(worker.work(assignment), Scored)
    assert torch.get_num_threads() == 1


def test_a_machine_without_the_workers_libraries_is_told_what_to_install() -> None:
    result = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)
    assert "pip install 'evomerge[worker]'" in result.stdout


def test_a_job_that_goes_wrong_says_so_in_our_words(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    recipe = linear_recipe([tiny_parents["left"]], (1.0,))
    order = ExportOrder(recipe, str(tmp_path / "out"), extra_files={"bad\0name": "x"})
    with pytest.raises(WorkerError) as caught:
        Worker("job_actor").job(order)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []
