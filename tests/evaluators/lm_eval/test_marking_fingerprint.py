"""A second experiment gets its own marks when anything that marks has changed, and old ones otherwise."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from evaluators import Benchmark, ItemIndices, Score
from evaluators.composite_evaluator import CompositeEvaluator
from evaluators.lm_eval.harness import Harness
from evaluators.lm_eval.names.task_files import ALLOW_TASK_CODE
from evaluators.permissions import ALLOWED_JUDGES
from tests.evaluators.task_writing import CHOICE, GENERATION, three_splits, write_task
from tests.workers.recipes import linear_recipe
from workers.protocol.messages import Assignment
from workers.runtime.item_evaluation import ItemEvaluation, evaluate_items

CODE = """
WORTH = {"w1": 1.0}

def worth(word):
    return WORTH.get(word, 0.25)

def results(doc, answers):
    return {"exact_match": worth(answers[0].strip()[:2])}

def graded(references, predictions, limit=3):
    return float(len(predictions[0]) > limit) * worth("w1")

def target(doc):
    return f"w{doc['a']}"

def middle(values):
    return sum(values) / len(values)

class Shout:
    def __init__(self, mark="!"):
        self.mark = mark

    def apply(self, resps, docs):
        return [[one + self.mark for one in each] for each in resps]
"""
EXACT = GENERATION["metric_list"][0]


def said(**changes: Any) -> dict[str, Any]:
    """Returns the settings of a generation task that reads a number out of the answer."""
    pattern = changes.pop("pattern", "(w[0-9])")
    more = changes.pop("more", [])
    steps = [{"function": "regex", "regex_pattern": pattern}, *more, {"function": "take_first"}]
    return {**GENERATION, "filter_list": [{"name": "number", "filter": steps}], **changes}


def with_metric(**changes: Any) -> dict[str, Any]:
    return said(metric_list=[{**EXACT, **changes}])


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "doc_to_target": (said(), said(doc_to_target="w{{ (a + 1) % 4 }}")),
    "a filter's regex": (said(), said(pattern="(w[0-4])")),
    "a filter step": (said(), said(more=[{"function": "lowercase"}])),
    "a metric's argument": (with_metric(), with_metric(ignore_case=True)),
    "a metric's direction": (with_metric(), with_metric(higher_is_better=False)),
    "the metric": (said(), with_metric(metric="bypass")),
    "the aggregation": (said(), with_metric(aggregation="median")),
    "generation settings": (said(), said(generation_kwargs={**GENERATION["generation_kwargs"], "top_k": 3})),
    "repeats": (said(), said(repeats=2)),
    "the task's version": (said(metadata={"version": 1}), said(metadata={"version": 2})),
    "doc_to_choice": (CHOICE, {**CHOICE, "doc_to_choice": ["w1", "w2", "w3 w5", "w4"]}),
    "the right choice": (CHOICE, {**CHOICE, "doc_to_target": "{{ (a + 1) % 4 }}"}),
}


def marking_of(folder: Path, config: dict[str, Any], code: str = "", **settings: Any) -> str:
    """Writes a task into a new folder and returns the fingerprint of its search items."""
    write_task(folder, "words", three_splits(), **config)
    if code:
        (folder / "own.py").write_text(code)
        file = folder / "words.yaml"
        file.write_text(file.read_text().replace("FUNCTION ", "!function "))
    benchmark = Benchmark(name=folder.name, task="words", include_path=str(folder), **settings)
    return Harness([benchmark]).item_sets("search")[0].fingerprint


def test_nothing_changed_gives_the_same_fingerprint_from_another_folder(tmp_path: Path) -> None:
    for number, config in enumerate((said(), CHOICE)):
        assert marking_of(tmp_path / f"a{number}", config) == marking_of(tmp_path / f"b{number}", config)


@pytest.mark.parametrize("change", CHANGES)
def test_settings_that_mark_or_ask_change_the_fingerprint(tmp_path: Path, change: str) -> None:
    before, after = CHANGES[change]
    assert marking_of(tmp_path / "before", before) != marking_of(tmp_path / "after", after)


def test_the_direction_counts(tmp_path: Path) -> None:
    found = {
        marking_of(tmp_path / str(wanted), said(), direction=wanted) for wanted in ("minimize", "maximize")
    }
    assert len(found) == 2


def test_the_version_of_lm_eval_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = marking_of(tmp_path / "before", said())
    monkeypatch.setattr(
        "evaluators.fingerprints.code_origin.version",
        lambda name: "9.9" if name == "lm_eval" else version(name),
    )
    assert marking_of(tmp_path / "after", said()) != before


# A group's rule is what its members' marks become.
RULE = "group: both\ntask: [words]\naggregate_metric_list: [{metric: exact_match, weight_by_size: %s}]\n"


def test_a_groups_rule_counts(tmp_path: Path) -> None:
    found = []
    for wanted in ("true", "false"):
        write_task(tmp_path / wanted, "words", three_splits(), **said())
        (tmp_path / wanted / "both.yaml").write_text(RULE % wanted)
        both = Benchmark(name="both", task="both", include_path=str(tmp_path / wanted))
        found.append(Harness([both]).item_sets("search")[0].fingerprint)
    assert found[0] != found[1]


OWN = {
    "process_results": said(process_results="FUNCTION own.results"),
    "a metric": said(metric_list=[{**EXACT, "metric": "FUNCTION own.graded", "limit": 3}]),
    "an aggregation": with_metric(aggregation="FUNCTION own.middle"),
    "a target": said(doc_to_target="FUNCTION own.target"),
    "a filter": said(more=[{"function": "FUNCTION own.Shout"}]),
}
OWN_CHANGES = {
    "process_results": ("[:2]", "[:1]"),
    "a metric": ('WORTH = {"w1": 1.0}', 'WORTH = {"w1": 0.9}'),
    "an aggregation": ("/ len(values)", "/ max(values)"),
    "a target": ("doc['a']", "(doc['a'] + 1)"),
    "a filter": ('mark="!"', 'mark="?"'),
}


@pytest.mark.parametrize("kind", OWN)
def test_own_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv(ALLOW_TASK_CODE, "1")
    old, new = OWN_CHANGES[kind]
    assert CODE.count(old) == 1
    before, same, after = (
        marking_of(tmp_path / name, OWN[kind], code)
        for name, code in (("before", CODE), ("same", CODE), ("after", CODE.replace(old, new)))
    )
    assert before == same != after


def test_own_code_that_reads_a_file_gives_marks_that_are_never_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(ALLOW_TASK_CODE, "1")
    code = CODE.replace("return WORTH.get(word, 0.25)", "return float(open('worth').read())")
    found = [marking_of(tmp_path / name, OWN["process_results"], code) for name in ("one", "two")]
    assert found[0] != found[1]
    assert "not reused" in caplog.text
    assert "uses open" in caplog.text


# --- the second experiment ---------------------------------------------------------------------------


def asked_again(harness: Harness, known: tuple[Score, ...], network: Any, tokenizer: Any) -> ItemEvaluation:
    """Returns what a candidate of a second experiment scores, whose model was scored in a first one."""

    def ask(items: ItemIndices | None) -> tuple[Score, ...]:
        return harness.evaluate(network, tokenizer, "search", items)

    assignment = Assignment(uuid4(), 0, linear_recipe([Path("a"), Path("b")], (0.5, 0.5)), known=known)
    return evaluate_items(assignment, harness.item_sets("search"), ask)


@pytest.mark.parametrize("change", ["nothing", "doc_to_target", "a filter's regex", "the right choice"])
def test_a_second_experiment_gets_its_own_marks(
    network: Any, tokenizer: Any, tmp_path: Path, change: str
) -> None:
    before, after = CHANGES.get(change, (CHOICE, CHOICE))
    harnesses = []
    for name, config in (("first", before), ("second", after)):
        write_task(tmp_path / name, "words", three_splits(40), **config)
        asked = Benchmark(name=name, task="words", include_path=str(tmp_path / name))
        harnesses.append(Harness([asked]))
    first, fresh = (one.evaluate(network, tokenizer, "search") for one in harnesses)
    answered = asked_again(harnesses[1], first, network, tokenizer)
    assert answered.scores == fresh
    assert answered.asked == (0 if change == "nothing" else 40)
    assert (first[0].per_item == fresh[0].per_item) == (change == "nothing")


# --- judges of answers, and flips --------------------------------------------------------------------


def test_marks_of_another_judge_or_another_parent_are_not_used(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"w{n}" for n in range(30)))
    monkeypatch.syspath_prepend(str(tmp_path))
    judges = {"one_judge": "len", "same_judge": "len", "other_judge": "hash", "timed": "time.sleep"}
    for name, grade in judges.items():
        lines = [
            "import time",
            "def judge(prompts, answers):",
            f"    return [{grade}(one) for one in answers]",
        ]
        (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.setenv(ALLOWED_JUDGES, "http://localhost," + ",".join(f"{name}:judge" for name in judges))
    settings: dict[str, Any] = {"name": "judged", "file": str(prompts)}

    def item_set(kind: str, judge: str) -> str:
        asked = CompositeEvaluator([Benchmark(kind=kind, judge=judge, **settings)])
        return asked.item_sets("search")[0].fingerprint

    assert item_set("python", "one_judge:judge") == item_set("python", "one_judge:judge")
    assert item_set("python", "one_judge:judge") != item_set("python", "other_judge:judge")
    for kind, judge in (("python", "timed:judge"), ("http", "http://localhost/judge")):
        assert item_set(kind, judge) != item_set(kind, judge)
    write_task(tmp_path / "tasks", "words", three_splits(40), **CHOICE)
    found = []
    for seed in (0, 1, 0):
        flips: dict[str, Any] = {"kind": "negative_flips", "task": "words", "parent": "left"}
        evaluator = CompositeEvaluator(
            [Benchmark(name="flips", include_path=str(tmp_path / "tasks"), **flips)]
        )
        evaluator.refer("left", "search", make_network(seed), tokenizer)
        (score,) = evaluator.evaluate(make_network(2), tokenizer, "search")
        assert score.item_set == evaluator.item_sets("search")[0].fingerprint
        found.append(score.item_set)
    assert found[0] == found[2] != found[1]
