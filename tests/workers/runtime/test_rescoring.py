"""What was stored of a candidate is what plain lm-eval finds in its exported checkpoint, item by item."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evaluators import Benchmark
from evaluators.inference.generation import Generated, GenerationPlan
from search_spaces import Recipe
from tests.evaluators.task_writing import CHOICE, GENERATION, three_splits, write_task
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at, stacking_recipe
from workers.export.export import export
from workers.protocol.messages import Assignment, ExportOrder, Scored, Workload
from workers.runtime.pipeline import Pipeline

ITEMS = 80  # enough for the worker to lay its weights out
SETTINGS = {"until": ["w7", "w20 w3"], "max_gen_toks": 12, "do_sample": False}
GREEDY = {**GENERATION, "doc_to_target": "w{{a}}", "generation_kwargs": SETTINGS}
SCORED = (("words", "acc_norm", "none"), ("says", "exact_match", "number"))


def mixture(left: Path, right: Path) -> Recipe:
    return linear_recipe([left, right], (0.7, 0.3))


def stack(left: Path, right: Path) -> Recipe:
    """Layers of both that come again, with scales, which the checkpoint's weights take in."""
    stacked = stacking_recipe((left, 0), (right, 1), (right, 1), (left, 0), (left, 1))
    scales = (1.0, 0.6, 1.0, 1.9, 0.7)
    slices = tuple(
        part.model_copy(update={"input_scale": scale})
        for part, scale in zip(stacked.slices, scales, strict=True)
    )
    return Recipe.model_validate(stacked.model_copy(update={"slices": slices}).model_dump())


def from_disk(folder: Path, tasks: Path) -> dict[str, list[Any]]:
    """Returns each task's samples as lm-eval's own model finds them, on the test split, in order."""
    found = simple_evaluate(
        HFLM(pretrained=str(folder), batch_size=16, device="cpu", dtype="float32"),
        tasks=[{"group": "g", "task": [{"task": task, "test_split": "test"} for task in ("words", "says")]}],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    return {
        task: sorted((row for row in found["samples"][task] if row["filter"] == kind), key=_number)
        for task, _, kind in SCORED
    }


def _number(row: dict[str, Any]) -> int:
    return int(row["doc_id"])


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the worker's live models generate, in the order of the items."""
    texts: list[str] = []
    generated = GenerationPlan.generated

    def listening(plan: GenerationPlan, network: Any) -> list[Generated]:
        found = generated(plan, network)
        texts.extend(one.text for one in found)
        return found

    monkeypatch.setattr(GenerationPlan, "generated", listening)
    return texts


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
@pytest.mark.parametrize("recipe_of", [mixture, stack])
def test_an_exported_checkpoint_answers_as_the_live_model_did_item_by_item(
    recipe_of: Callable[[Path, Path], Recipe],
    architecture: str,
    workload: Workload,
    said: list[str],
    tmp_path: Path,
) -> None:
    tasks = tmp_path / "tasks"
    write_task(tasks, "words", three_splits(ITEMS), **CHOICE)
    write_task(tasks, "says", three_splits(ITEMS), **GREEDY)
    asked = tuple(
        Benchmark(name=name, task=name, metric=f"{metric},{kind}", include_path=str(tasks))
        for name, metric, kind in SCORED
    )
    left, right = (
        save_tiny_model(tmp_path / str(seed), seed, architecture=architecture, spread=6.0) for seed in (1, 2)
    )
    recipe = recipe_of(left, right)
    parents = parent_at(left), parent_at(right)
    pipeline = Pipeline(dataclasses.replace(workload, parents=parents, benchmarks=asked))
    outcome = pipeline.run(Assignment(uuid4(), 0, recipe, split="test"))
    assert isinstance(outcome, Scored), outcome
    exported = export(ExportOrder(recipe, str(tmp_path / "merged")))
    samples = from_disk(Path(exported.folder), tasks)
    for score, (task, metric, _) in zip(outcome.scores, SCORED, strict=True):
        assert list(score.per_item) == [row[metric] for row in samples[task]]
        assert len(score.per_item) == ITEMS
    assert said == [row["resps"][0][0] for row in samples["says"]]
    assert len(set(said)) > ITEMS // 4
    assert 0 < outcome.scores[0].value < 1
