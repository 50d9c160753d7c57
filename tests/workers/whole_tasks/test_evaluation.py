"""Checkpoints asked whole tasks give what lm-eval gives with its own model, item by item."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

from evaluators.chat import Chat
from evaluators.evaluations import EvaluationSettings
from search_spaces import Parent
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.task_writing import CHOICE, GENERATION, ROLLING, three_splits, write_task
from tests.tiny_models import save_tiny_model
from workers.errors import NoSuchTaskError, TaskError
from workers.pools.actor import evaluate_here
from workers.protocol.evaluation_orders import EvaluationOrder, EvaluationReport

NUMBER = re.compile(r"\d+\.\d+")
TASKS = ("choices", "texts", "answers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    few_shot: dict[str, Any] = {"fewshot_split": "selection"}
    write_task(folder, "choices", three_splits(), **CHOICE, **few_shot)
    write_task(folder, "answers", three_splits(), **GENERATION, **few_shot)
    write_task(folder, "texts", three_splits(), **ROLLING)
    write_task(folder, "more", {"search": three_splits(30)["test"]}, **CHOICE)
    rule = "aggregate_metric_list: [{metric: acc, weight_by_size: true}]"
    (folder / "both.yaml").write_text(f"group: both\ntask: [choices, more]\n{rule}\n")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("models")
    found = save_tiny_model(place / "one", 1), save_tiny_model(place / "two", 2)
    for model in found:
        chat_tokenizer("llama3").save_pretrained(model)
    return found


@pytest.fixture(scope="module")
def evaluate(folder: Path, models: tuple[Path, Path]) -> Callable[..., EvaluationReport]:
    def asked(*tasks: str, parents: tuple[Path, ...] = (), **settings: Any) -> EvaluationReport:
        given = EvaluationSettings(tasks=tasks, folders=(str(folder),), **settings)
        told: list[str] = []
        others = tuple(Parent(model=str(parent)) for parent in parents)
        return evaluate_here(EvaluationOrder((Parent(model=str(models[0])),), given, others), told.append)

    return asked


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({"shots": 2, "limit": 7}, {"num_fewshot": 2, "limit": 7}),
        (
            {"chat": Chat(apply="on", system="w1"), "shots": 1, "generation": {"max_gen_toks": 3}},
            {
                "apply_chat_template": True,
                "system_instruction": "w1",
                "num_fewshot": 1,
                "fewshot_as_multiturn": True,
                "gen_kwargs": {"max_gen_toks": 3},
            },
        ),
    ],
)
def test_numbers_and_table_are_those_of_lm_eval_item_by_item(
    evaluate: Callable[..., EvaluationReport],
    folder: Path,
    models: tuple[Path, Path],
    settings: dict[str, Any],
    theirs: dict[str, Any],
) -> None:
    (found,) = evaluate(*TASKS, keep_samples=True, **settings).models
    expected: Any = simple_evaluate(
        model=HFLM(pretrained=str(models[0]), batch_size=4, device="cpu"),
        tasks=list(TASKS),
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        **theirs,
    )
    ours_table, their_table = found.table, make_table(expected)
    assert NUMBER.sub("", ours_table) == NUMBER.sub("", their_table)
    numbers = [list(map(float, NUMBER.findall(table))) for table in (ours_table, their_table)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5, abs=1.01e-4)
    for task, samples in expected["samples"].items():
        for ours, other in zip(found.results["samples"][task], samples, strict=True):
            assert ours["arguments"] == other["arguments"]
            for metric in other["metrics"]:
                assert ours[metric] == pytest.approx(other[metric], rel=1e-5)


def test_models_stand_beside_parents_with_paired_differences(
    evaluate: Callable[..., EvaluationReport], models: tuple[Path, Path]
) -> None:
    report = evaluate("both", parents=(models[1],))
    differences = {(each.task, each.metric): each for each in report.differences}
    one, group = differences["choices", "acc,none"], differences["both", "acc,none"]
    assert one.difference == pytest.approx(one.value - one.other_value)
    assert (one.better - one.worse) / one.items == pytest.approx(one.difference)
    assert one.stderr is not None
    assert (one.items, group.items) == (12, 42)
    assert group.stderr is not None
    assert group.better - group.worse == pytest.approx(group.difference * 42)


def test_what_cannot_be_asked_is_said(
    evaluate: Callable[..., EvaluationReport], folder: Path, tmp_path: Path
) -> None:
    for generation, said in (
        ({"tempreature": 0.4}, "no setting 'tempreature'.*did you mean temperature"),
        ({"repeats": 4}, "no setting 'repeats'.*task's file"),
        ({"temperature": "hot"}, "could not convert"),
        ({"do_sample": True, "temperature": 0.0}, "nothing can be drawn at temperature 0"),
    ):
        with pytest.raises(TaskError, match=said):
            evaluate("answers", generation=generation)
    with pytest.raises(NoSuchTaskError, match=r"did you mean choices\?"):
        evaluate("choice")
    bare = EvaluationSettings(tasks=("choices",), folders=(str(folder),), chat=Chat(apply="on"))
    model = Parent(model=str(save_tiny_model(tmp_path / "bare", 1)))
    with pytest.raises(TaskError, match="no chat template"):
        evaluate_here(EvaluationOrder((model,), bare), print)
