"""What was stored of a candidate is what plain lm-eval finds in its exported checkpoint, item by item."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evaluators import Benchmark
from tests.evaluators.task_writing import CHOICE, GENERATION, three_splits, write_task
from tests.workers.recipes import linear_recipe
from workers.export import export
from workers.messages import Assignment, ExportOrder, Scored, Workload
from workers.pipeline import Pipeline

GREEDY = {**GENERATION, "doc_to_target": "w{{a}}"}


def from_disk(folder: Path, tasks: Path) -> Any:
    """Returns each task's samples as lm-eval's own model finds them, on the test split."""
    found = simple_evaluate(
        HFLM(pretrained=str(folder), batch_size=4, device="cpu", dtype="float32"),
        tasks=[{"group": "g", "task": [{"task": task, "test_split": "test"} for task in ("words", "says")]}],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
    )
    return found["samples"]


def test_an_exported_checkpoint_scores_as_stored_item_by_item(
    workload: Workload, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    tasks = tmp_path / "tasks"
    write_task(tasks, "words", three_splits(30), **CHOICE)
    write_task(tasks, "says", three_splits(30), **GREEDY)
    asked = tuple(
        Benchmark(name=name, task=name, metric=metric, include_path=str(tasks))
        for name, metric in (("words", "acc_norm"), ("says", "exact_match,number"))
    )
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.7, 0.3))
    pipeline = Pipeline(dataclasses.replace(workload, benchmarks=asked))
    outcome = pipeline.run(Assignment(uuid4(), 0, recipe, split="test"))
    assert isinstance(outcome, Scored), outcome
    exported = export(ExportOrder(recipe, str(tmp_path / "merged")))
    samples = from_disk(Path(exported.folder), tasks)
    for score, (task, metric, kind) in zip(
        outcome.scores, (("words", "acc_norm", "none"), ("says", "exact_match", "number")), strict=True
    ):
        rows = sorted((row for row in samples[task] if row["filter"] == kind), key=lambda row: row["doc_id"])
        assert list(score.per_item) == pytest.approx([row[metric] for row in rows], abs=0.0)
        assert len(rows) == 30
    assert 0 < outcome.scores[0].value < 1
