"""Groups, and metrics that own functions name, give what lm-eval's own run gives, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lm_eval
import pytest
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evaluators import Benchmark, BenchmarkFacts
from evaluators.errors import UnknownMetricError
from evaluators.lm_eval.harness import Harness, inspect_benchmarks
from evaluators.lm_eval.names.task_files import ALLOW_TASK_CODE
from tests.evaluators.task_writing import CHOICE, GENERATION, rows, write_task

CODE = """
def graded(references, predictions, k=(1,)):
    short = {f"short@{n}": float(len(predictions[0][0]) % (n + 2) == 0) for n in k}
    return {**short, "right@1": float(len(references[0] + predictions[0][0]) % 5 < 2)}

def results(doc, answers):
    found = {"length": len(answers[0])}
    if doc["a"] != 1:
        found["even"] = float(len(answers[0]) % 2 == 0)
    return found

def strict(references, predictions):
    assert predictions[0].startswith("w") and len(predictions[0]) > 4
    return {"any": 1.0}

def wrapped(resps, docs):
    return [[f"{one} {doc['a']}" for one in each] for each, doc in zip(resps, docs)]
"""
ACC = {"metric": "acc", "weight_by_size": True}
EXACT = {"metric": "exact_match", "weight_by_size": True}
OWN = {**GENERATION, "filter_list": [{"name": "wrapped", "filter": [{"function": "custom"}]}]}
OWN["filter_list"][0]["filter"][0]["filter_fn"] = "FUNCTION own.wrapped"
SEVERAL = {"metric": "FUNCTION own.graded", "aggregation": "mean", "higher_is_better": True, "k": [1, 2]}
COUNTED = [
    {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("length", "even", "never")
]


def task(folder: Path, name: str, count: int, config: dict[str, Any], first: int = 0) -> None:
    data = {
        split: rows(start + first, count)
        for split, start in (("search", 0), ("selection", 300), ("test", 600))
    }
    write_task(folder, name, data, **config)
    (folder / "own.py").write_text(CODE)
    file = folder / f"{name}.yaml"
    file.write_text(file.read_text().replace("FUNCTION ", "!function "))


def group(folder: Path, name: str, members: list[Any], *rules: dict[str, Any]) -> None:
    content: dict[str, Any] = {"group": name, "task": members}
    if rules:
        content["aggregate_metric_list"] = list(rules)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tasks of all kinds, and groups of all shapes over them."""
    monkeypatch.setenv(ALLOW_TASK_CODE, "1")
    task(tmp_path, "says", 12, GENERATION)
    task(tmp_path, "talks", 30, GENERATION, 40)
    task(tmp_path, "bare", 9, {**GENERATION, "filter_list": None}, 80)
    task(tmp_path, "picks", 12, CHOICE, 120)
    task(tmp_path, "several", 20, {**OWN, "metric_list": [SEVERAL]})
    task(tmp_path, "more", 8, {**OWN, "metric_list": [SEVERAL]}, 40)
    task(
        tmp_path,
        "counts",
        20,
        {**GENERATION, "process_results": "FUNCTION own.results", "metric_list": COUNTED},
    )
    group(tmp_path, "filtered", ["says", "talks"], {**EXACT, "filter_list": "number"})
    group(
        tmp_path,
        "listed",
        ["says", "talks"],
        {**EXACT, "weight_by_size": False, "filter_list": ["number", "whole"]},
    )
    group(
        tmp_path,
        "ruled",
        ["says", "talks"],
        {**EXACT, "filter_list": ["whole"]},
        {**EXACT, "filter_list": "number"},
    )
    group(tmp_path, "uneven", ["says", "bare", "picks"], EXACT, ACC)
    inner = {"group": "inner", "task": ["talks"], "aggregate_metric_list": [{"metric": "exact_match"}]}
    group(tmp_path, "nested", ["says", inner], {**EXACT, "filter_list": "number"})
    group(tmp_path, "middle", ["filtered", "bare"])
    group(tmp_path, "outer", ["middle", "picks"], {**EXACT, "weight_by_size": False})
    group(tmp_path, "own", ["several", "more"], {"metric": "right@1", "weight_by_size": False})
    group(tmp_path, "sparse", ["counts", "talks"], {"metric": "even"}, {"metric": "length"})
    return tmp_path


EXPECTED = {
    "filtered": ["exact_match,number"],
    "listed": ["exact_match,number", "exact_match,whole"],
    "ruled": ["exact_match,whole", "exact_match,number"],
    "uneven": ["exact_match,whole", "exact_match,number", "exact_match,none", "acc,none"],
    "nested": ["exact_match,number"],
    "outer": ["exact_match,whole", "exact_match,number", "exact_match,none"],
    "several": ["short@1,wrapped", "short@2,wrapped", "right@1,wrapped"],
    "own": ["right@1,wrapped"],
    "counts": [f"{name},{kind}" for name in ("length", "even", "never") for kind in ("whole", "number")],
    "sparse": [f"{name},{kind}" for name in ("even", "length") for kind in ("whole", "number")],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_metric_equals_lm_evals(network: Any, tokenizer: Any, folder: Path, name: str) -> None:
    index = {"task": name, "include_path": str(folder)}
    (facts,) = inspect_benchmarks([Benchmark(name="default", **index)])
    assert isinstance(facts, BenchmarkFacts)
    assert list(facts.metrics) == EXPECTED[name]
    asked = [one for one in facts.metrics if not one.startswith("never")]
    results = lm_eval.simple_evaluate(
        HFLM(pretrained=network, tokenizer=tokenizer, batch_size=8),
        tasks=[name],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=1,
    )
    whole = results.get("groups", results["results"])[name]
    harness = Harness([Benchmark(name=metric, metric=metric, **index) for metric in asked])
    for score in harness.evaluate(network, tokenizer, "search"):
        metric, _, kind = score.metric.partition(",")
        assert score.value == pytest.approx(whole[score.metric], abs=1e-12)
        assert score.stderr == pytest.approx(whole[f"{metric}_stderr,{kind}"], abs=1e-12)
        marks = [
            sample[metric]
            for samples in results["samples"].values()
            for sample in sorted(samples, key=lambda sample: sample["doc_id"])
            if sample["filter"] == kind and metric in sample
        ]
        assert list(score.per_item) == (marks if metric != "even" else [])
    assert len({score.value for score in harness.evaluate(network, tokenizer, "search")} - {0.0, 1.0}) > 0


def test_only_rules_that_weigh_items_are_means_of_items(folder: Path) -> None:
    benchmarks = [
        Benchmark(name=n, task=n, include_path=str(folder)) for n in ("filtered", "listed", "ruled")
    ]
    assert [item_set.additive for item_set in Harness(benchmarks).item_sets("search")] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "metric", "shown"),
    [("filtered", "exact_match,whole", "exact_match,number"), ("several", "graded", "short@1,wrapped")],
)
def test_a_metric_that_is_not_given_is_refused_before_any_model(
    folder: Path, name: str, metric: str, shown: str
) -> None:
    (found,) = inspect_benchmarks([Benchmark(name="b", task=name, metric=metric, include_path=str(folder))])
    assert isinstance(found, UnknownMetricError)
    assert shown in found.detail


def test_own_code_that_fails_on_made_up_answers_may_give_any_metric(
    network: Any, tokenizer: Any, folder: Path
) -> None:
    metric = {"metric": "FUNCTION own.strict", "aggregation": "mean", "higher_is_better": True}
    task(folder, "strict", 12, {**GENERATION, "metric_list": [metric], "doc_to_target": "{{a}}"})
    asked = {"task": "strict", "include_path": str(folder)}
    (right,) = Harness([Benchmark(name="b", metric="any", **asked)]).evaluate(network, tokenizer, "search")
    assert (right.metric, right.value) == ("any,whole", 1.0)
    with pytest.raises(UnknownMetricError, match="gave no some but any"):
        Harness([Benchmark(name="b", metric="some", direction="maximize", **asked)]).evaluate(
            network, tokenizer, "search"
        )
