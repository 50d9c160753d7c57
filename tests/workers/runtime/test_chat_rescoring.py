"""What instruct models score in a chat is what `lm_eval --apply_chat_template` finds in their export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evaluators import Benchmark
from evaluators.chat import Chat
from search_spaces import Parent
from search_spaces.spaces.template_choice import with_chat_template
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.task_writing import CHOICE, GENERATION, rows, three_splits, write_task
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at
from workers.export.export import export
from workers.export.rescoring.examiner import Examiner
from workers.protocol.messages import Assignment, ExportOrder, Scored, Workload
from workers.protocol.stored_answers import StoredAnswers
from workers.runtime.pipeline import Pipeline

SHOUTED = "{{- bos_token -}}{%- for m in messages -%}{{- m['content'] + ' w5 ' -}}{%- endfor -%}"


@pytest.fixture
def parents(tmp_path: Path) -> tuple[Parent, Parent]:
    """Two models with Llama's marks, the second of which has a template of its own."""
    tokenizer, folders = chat_tokenizer("llama3"), [tmp_path / "left-instruct", tmp_path / "right-instruct"]
    for seed, folder in enumerate(folders):
        save_tiny_model(folder, seed, spread=4.0)
        tokenizer.save_pretrained(folder)
        tokenizer.chat_template = SHOUTED
    return parent_at(folders[0]), parent_at(folders[1])


def from_disk(folder: Path, tasks: Path, **options: Any) -> list[Any]:
    found = simple_evaluate(
        HFLM(pretrained=str(folder), batch_size=16, device="cpu", dtype="float32"),
        tasks=[{"group": "g", "task": [{"task": "words", "test_split": "test"}]}],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
        **options,
    )
    samples = sorted(found["samples"]["words"], key=lambda row: row["doc_id"])
    return [row["acc_norm"] for row in samples]


@pytest.mark.parametrize("whose", ["the owner's", "the other parent's"])
def test_an_exported_chat_model_scores_as_in_lm_eval(
    tmp_path: Path, parents: tuple[Parent, Parent], whose: str
) -> None:
    tasks = tmp_path / "tasks"
    shots: dict[str, Any] = {"fewshot_split": "train", "training_split": "train"}
    write_task(tasks, "words", {**three_splits(30), "train": rows(300, 8)}, **CHOICE, **shots)
    chosen = {"metric": "acc_norm", "num_fewshot": 1, "chat": Chat(system="w9 w4")}
    benchmark = Benchmark(name="words", task="words", include_path=str(tasks), **chosen)
    recipe = linear_recipe([Path(parent.model) for parent in parents], (0.7, 0.3))
    if whose != "the owner's":
        recipe = with_chat_template(recipe, parents[1])
    pipeline = Pipeline(Workload(uuid4(), parents, (benchmark,), device="cpu", batch_size=8, count=1))
    outcome = pipeline.run(Assignment(uuid4(), 0, recipe, split="test"))
    assert isinstance(outcome, Scored)
    export(ExportOrder(recipe, str(tmp_path / "merged"), verify=False))
    spoken = from_disk(
        tmp_path / "merged", tasks, num_fewshot=1, apply_chat_template=True, system_instruction="w9 w4"
    )
    assert list(outcome.scores[0].per_item) == spoken
    assert from_disk(tmp_path / "merged", tasks, num_fewshot=1) != spoken


def test_an_exported_chat_model_is_asked_again_what_its_candidate_was(
    tmp_path: Path, parents: tuple[Parent, Parent]
) -> None:
    write_task(tmp_path / "tasks", "words", three_splits(30), **CHOICE)
    write_task(tmp_path / "tasks", "says", three_splits(30), **GENERATION)
    drawn = {"temperature": 1.2, "repeats": 3, "max_gen_toks": 4}
    folder = str(tmp_path / "tasks")
    benchmarks = (  # the first is asked in a chat because its parents' names say instruct
        Benchmark(name="words", task="words", include_path=folder),
        Benchmark(name="says", task="says", include_path=folder, metric="avg@3", generation=drawn),
    )
    recipe = with_chat_template(
        linear_recipe([Path(parent.model) for parent in parents], (0.7, 0.3)), parents[1]
    )
    pipeline = Pipeline(Workload(uuid4(), parents, benchmarks, device="cpu", batch_size=8, count=1))
    outcome = pipeline.run(Assignment(uuid4(), 0, recipe, split="search"))
    assert isinstance(outcome, Scored)
    export(ExportOrder(recipe, str(tmp_path / "merged"), verify=False))
    stored = tuple(replace(score, item_indices=tuple(range(30))) for score in outcome.scores)
    answers = StoredAnswers(benchmarks, stored)
    found = Examiner(answers).answer(tmp_path / "merged")
    assert found["scores"] == [[score.benchmark, list(score.per_item)] for score in stored]
    rounded = Examiner(replace(answers, dtype="bfloat16")).answer(tmp_path / "merged")
    assert [name for name, _ in rounded["scores"]] == ["words"]
