"""Fixtures of the workers' tests."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from evaluators import Benchmark
from tests.workers.recipes import parent_at
from tests.workforces import inline_pool, ray_pool, ray_session, workforce
from workers.protocol.messages import Workload

__all__ = ["inline_pool", "ray_pool", "ray_session", "workforce"]


@pytest.fixture
def words(word_task: Path) -> Benchmark:
    """A benchmark of twelve items per split."""
    return Benchmark(name="words", task="words", include_path=str(word_task))


@pytest.fixture
def workload(tiny_parents: dict[str, Path], words: Benchmark) -> Workload:
    """The tiny parents and the words benchmark, for one worker on the CPU."""
    parents = tuple(parent_at(folder) for folder in tiny_parents.values())
    return Workload(uuid4(), parents, (words,), device="cpu", batch_size=8, count=1)
