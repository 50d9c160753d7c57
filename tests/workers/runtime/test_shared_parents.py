"""Experiments one after the other over the same parents: a worker keeps them in memory."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from uuid import uuid4

import pytest

from evaluators import Benchmark
from search_spaces import Recipe
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at
from workers.errors import PreparationError
from workers.pools.actor import Worker
from workers.protocol.messages import Assignment, Scored, Workload
from workers.runtime.pipeline import Pipeline


def scores_of(worker: Pipeline | Worker, recipe: Recipe) -> object:
    assignment = Assignment(uuid4(), 0, recipe)
    outcome = worker.run(assignment) if isinstance(worker, Pipeline) else worker.work(assignment)
    assert isinstance(outcome, Scored)
    return outcome.scores


def test_parents_that_stay_in_memory_give_the_scores_of_parents_that_are_read(
    workload: Workload, words: Benchmark, tiny_parents: dict[str, Path]
) -> None:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.3, 0.7))
    fewer = words.model_copy(update={"name": "fewer", "max_items": 3})
    next_one = dataclasses.replace(workload, experiment=uuid4(), benchmarks=(words, fewer))
    first = Pipeline(workload)
    scores_of(first, recipe)
    resident = first.let_go()
    second = Pipeline(next_one, resident=resident)
    assert second.let_go() is resident
    assert scores_of(Pipeline(next_one, resident=resident), recipe) == scores_of(Pipeline(next_one), recipe)


def test_parents_that_were_changed_on_disk_are_read_anew(workload: Workload, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "parent", 1)
    changing = dataclasses.replace(workload, parents=(parent_at(folder),))
    recipe = linear_recipe([folder], (1.0,))
    worker = Worker("worker 1", threads=1)
    worker.prepare(changing)
    before = scores_of(worker, recipe)
    save_tiny_model(folder, 2)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    worker.prepare(dataclasses.replace(changing, experiment=uuid4()))
    after = scores_of(worker, recipe)
    assert after == scores_of(Pipeline(changing), recipe)
    assert after != before


def test_after_a_refusal_the_worker_reads_them_again(
    workload: Workload, words: Benchmark, tiny_parents: dict[str, Path]
) -> None:
    recipe = linear_recipe([tiny_parents["left"]], (1.0,))
    worker = Worker("worker 1", threads=1)
    worker.prepare(workload)
    before = scores_of(worker, recipe)
    unknown = dataclasses.replace(workload, benchmarks=(words.model_copy(update={"task": "no_such_task"}),))
    with pytest.raises(PreparationError, match="no_such_task"):
        worker.prepare(unknown)
    worker.prepare(workload)
    assert scores_of(worker, recipe) == before
