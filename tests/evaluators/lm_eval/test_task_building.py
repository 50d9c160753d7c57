"""What `inspect_benchmarks` finds out about benchmarks, and what it refuses, before any model is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluators import Benchmark, BenchmarkFacts, EvaluationError, ItemShares, NamedSplits
from evaluators.errors import SplitError, UnknownMetricError, UnknownTaskError
from evaluators.lm_eval.harness import inspect_benchmarks
from evaluators.lm_eval.names.task_files import ALLOW_TASK_CODE
from evaluators.permissions import TASK_ROOTS
from tests.conftest import REPOSITORY
from tests.evaluators.task_writing import CHOICE, GENERATION, ROLLING, rows, three_splits, write_task


def inspect(folder: Path | None, task: str = "words", **settings: Any) -> BenchmarkFacts | EvaluationError:
    path = None if folder is None else str(folder)
    (found,) = inspect_benchmarks([Benchmark(name="b", task=task, include_path=path, **settings)])
    return found


def facts(*arguments: Any, **settings: Any) -> BenchmarkFacts:
    found = inspect(*arguments, **settings)
    assert isinstance(found, BenchmarkFacts), found
    return found


def refusal(*arguments: Any, **settings: Any) -> EvaluationError:
    found = inspect(*arguments, **settings)
    assert isinstance(found, EvaluationError), found
    return found


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return write_task(tmp_path, "words", three_splits(), **CHOICE)


def test_facts_of_a_task_with_three_named_splits(word_task: Path) -> None:
    assert facts(word_task) == BenchmarkFacts(
        "b", {"search": 12, "selection": 12, "test": 12}, ("acc,none",), higher_is_better=True, overlap=0.0
    )


def test_the_chosen_metric_comes_first(words: Path) -> None:
    assert facts(words).metrics == ("acc,none", "acc_norm,none")
    assert facts(words, metric="acc_norm").metrics == ("acc_norm,none", "acc,none")
    assert facts(words, metric="acc_norm,none").metrics[0] == "acc_norm,none"


def test_a_filter_is_part_of_the_metric(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), **GENERATION)
    assert facts(tmp_path).metrics == ("exact_match,whole", "exact_match,number")
    assert facts(tmp_path, metric="exact_match,number").metrics[0] == "exact_match,number"
    assert "exact_match,number" in refusal(tmp_path, metric="exact_match,numbr").remedy


def test_the_direction_comes_from_the_task_and_else_from_lm_eval(tmp_path: Path) -> None:
    write_task(tmp_path, "texts", three_splits(), **ROLLING)
    silent = [{"metric": "word_perplexity"}]
    write_task(tmp_path, "silent", three_splits(), **{**ROLLING, "metric_list": silent})
    assert not facts(tmp_path, "texts").higher_is_better
    assert not facts(tmp_path, "silent").higher_is_better


def test_several_benchmarks_are_inspected_at_once(words: Path) -> None:
    good, bad = (Benchmark(name=task, task=task, include_path=str(words)) for task in ("words", "wrods"))
    found = inspect_benchmarks([bad, good, bad])
    assert [isinstance(one, BenchmarkFacts) for one in found] == [False, True, False]


def test_tasks_lie_in_several_folders_and_the_last_ones_count(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_task(first, "words", {"validation": rows(0, 50)}, **CHOICE)
    write_task(first, "other", {"validation": rows(0, 50)}, **CHOICE)
    write_task(second, "words", {"validation": rows(0, 200)}, **CHOICE)
    folders = (str(first), str(second))
    both = [Benchmark(name=task, task=task, include_path=folders) for task in ("words", "other", "wrods")]
    words, other, unknown = inspect_benchmarks(both)
    assert isinstance(words, BenchmarkFacts)
    assert isinstance(other, BenchmarkFacts)
    assert words.items["search"] > other.items["search"]
    assert isinstance(unknown, UnknownTaskError)
    assert f"{first} and {second}" in unknown.detail


def test_an_unknown_task_of_a_folder_is_refused_with_what_is_near(words: Path) -> None:
    error = refusal(words, "wrods")
    assert isinstance(error, UnknownTaskError)
    assert (error.field, error.code) == ("task", "unknown_task")
    assert "'wrods'" in error.detail
    assert str(words) in error.detail
    assert "did you mean words?" in error.remedy


def test_an_unknown_metric_is_refused_with_what_there_is(words: Path) -> None:
    error = refusal(words, metric="accuracy_norm")
    assert isinstance(error, UnknownMetricError)
    assert "it has acc,none, acc_norm,none" in error.detail
    assert "did you mean acc_norm,none" in error.remedy


def test_a_metric_that_lm_eval_lacks_is_not_looked_for_on_the_internet(tmp_path: Path) -> None:
    metrics = [{"metric": "accc", "aggregation": "mean", "higher_is_better": True}]
    write_task(tmp_path, "words", three_splits(), **{**CHOICE, "metric_list": metrics})
    error = refusal(tmp_path)
    assert isinstance(error, UnknownMetricError)
    assert "did you mean acc" in error.remedy


def test_an_unknown_aggregation_is_refused(tmp_path: Path) -> None:
    metrics = [{"metric": "acc", "aggregation": "meen", "higher_is_better": True}]
    write_task(tmp_path, "words", three_splits(), **{**CHOICE, "metric_list": metrics})
    assert "unknown aggregation" in refusal(tmp_path).detail


def test_data_files_may_be_named_relative_to_the_task_file(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), relative=True, **CHOICE)
    assert facts(tmp_path).items == {"search": 12, "selection": 12, "test": 12}


def test_the_data_of_a_groups_tasks_lie_beside_the_file_that_names_them(tmp_path: Path) -> None:
    write_task(tmp_path / "far" / "off", "words", three_splits(), relative=True, **CHOICE)
    write_task(tmp_path / "data", "others", three_splits(9), relative=True, **CHOICE)
    (tmp_path / "data" / "others.yaml").unlink()
    member = {"task": "words", "dataset_kwargs": {"data_files": {"search": "data/others_*.jsonl"}}}
    member |= {"test_split": "search"}
    rule = {"aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}]}
    (tmp_path / "as_it_is.yaml").write_text(yaml.safe_dump({"group": "as_it_is", "task": ["words"], **rule}))
    (tmp_path / "moved.yaml").write_text(yaml.safe_dump({"group": "moved", "task": [member], **rule}))
    assert sum(facts(tmp_path, "as_it_is").items.values()) == 36
    assert sum(facts(tmp_path, "moved").items.values()) == 27


def test_data_outside_the_operators_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "private", "words", three_splits(), **CHOICE)
    task = (tmp_path / "private" / "words.yaml").read_text()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "words.yaml").write_text(task)
    monkeypatch.setenv(TASK_ROOTS, str(tmp_path / "open"))
    assert "does not lie in a folder" in refusal(tmp_path / "open").detail


def test_a_task_file_need_not_say_what_is_scored_when_the_splits_do(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), test_split=None, **CHOICE)
    assert facts(tmp_path).items["search"] == 12
    write_task(tmp_path, "other", {"x": rows(0), "y": rows(100), "z": rows(200)}, test_split=None, **CHOICE)
    assert (
        facts(tmp_path, "other", splits=NamedSplits(search="x", selection="y", test="z")).items["test"] == 12
    )
    assert "no split 'search'" in refusal(tmp_path, "other").detail


def test_a_missing_data_file_is_named(words: Path) -> None:
    (words / "words_test.jsonl").unlink()
    error = refusal(words)
    assert "words_test.jsonl" in error.detail
    assert "from the task file's folder" in error.remedy


def test_a_template_that_does_not_fit_the_data_is_refused(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), **{**CHOICE, "doc_to_text": "{{question}}"})
    assert "'question' is undefined" in refusal(tmp_path).detail


def test_a_data_set_without_the_three_splits_is_divided_by_shares(tmp_path: Path) -> None:
    write_task(tmp_path, "words", {"validation": rows(0, 200)}, **CHOICE)
    items = facts(tmp_path).items
    assert 180 <= sum(items.values()) <= 200  # a tenth may be left out to have labels spread evenly
    assert items["search"] > items["selection"] > 0


def test_shares_do_not_depend_on_the_order_of_the_data(tmp_path: Path) -> None:
    shares = ItemShares(seed=3, search=0.3, selection=0.3, test=0.3)
    write_task(tmp_path, "words", {"test": rows(0, 99)}, **CHOICE)
    write_task(tmp_path, "sdrow", {"test": rows(0, 99)[::-1]}, **CHOICE)
    assert facts(tmp_path, "words", splits=shares).items == facts(tmp_path, "sdrow", splits=shares).items


def test_a_split_that_the_data_lack_is_refused_with_those_they_have(words: Path) -> None:
    error = refusal(words, splits=NamedSplits(selection="validation"))
    assert isinstance(error, SplitError)
    assert "no split 'validation'; they have search, selection, test" in error.detail


def test_items_in_two_splits_are_refused_and_counted(tmp_path: Path) -> None:
    data = {"search": rows(0), "selection": rows(100), "test": rows(9)}
    write_task(tmp_path, "words", data, **CHOICE)
    error = refusal(tmp_path)
    assert isinstance(error, SplitError)
    assert "splits search and test of words have 3 items in common" in error.detail


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    write_task(tmp_path, "words", {"test": rows(0, 3)}, **CHOICE)
    error = refusal(tmp_path, splits=ItemShares(search=0.98, selection=0.01, test=0.01))
    assert isinstance(error, SplitError)
    assert "split selection of words has no items" in error.detail


def test_max_items_bounds_every_split(words: Path) -> None:
    assert facts(words, max_items=5).items == {"search": 5, "selection": 5, "test": 5}


# --- few-shot examples -------------------------------------------------------------------------------


@pytest.mark.parametrize("fewshot_split", [None, "search", "selection", "test"])
def test_few_shot_examples_from_a_scored_split_are_refused(tmp_path: Path, fewshot_split: str | None) -> None:
    write_task(tmp_path, "words", three_splits(), fewshot_split=fewshot_split, **CHOICE)
    assert isinstance(inspect(tmp_path), BenchmarkFacts)
    error = refusal(tmp_path, num_fewshot=2)
    assert isinstance(error, SplitError)
    assert f"would come from split {fewshot_split or 'search'!r}, which is scored" in error.detail
    assert "fewshot_split" in error.remedy


def test_few_shot_examples_from_the_split_that_is_shared_out_are_refused(tmp_path: Path) -> None:
    write_task(tmp_path, "words", {"test": rows(0, 100)}, num_fewshot=1, **CHOICE)
    assert isinstance(inspect(tmp_path), SplitError)
    assert isinstance(inspect(tmp_path, num_fewshot=0), BenchmarkFacts)


@pytest.mark.parametrize("config", [{}, {"fewshot_split": "train"}, {"training_split": "train"}])
def test_few_shot_examples_come_from_the_training_split(tmp_path: Path, config: dict[str, str]) -> None:
    write_task(tmp_path, "words", {**three_splits(), "train": rows(300, 3)}, **{**CHOICE, **config})
    assert isinstance(inspect(tmp_path, num_fewshot=3), BenchmarkFacts)
    assert "has only 3 examples" in refusal(tmp_path, num_fewshot=4).detail


def test_examples_may_be_written_into_the_task_file(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), fewshot_config={"samples": rows(300, 4)}, **CHOICE)
    assert isinstance(inspect(tmp_path, num_fewshot=2), BenchmarkFacts)


def test_examples_are_refused_where_the_task_rules_them_out(tmp_path: Path) -> None:
    write_task(tmp_path, "words", {**three_splits(), "train": rows(300)}, num_fewshot=0, **CHOICE)
    assert "allows no examples, not 2" in refusal(tmp_path, num_fewshot=2).detail


# --- code --------------------------------------------------------------------------------------------


def test_python_beside_a_task_file_is_not_run_unless_the_operator_allows_it(
    words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    (words / "code.py").write_text(f"open({str(canary)!r}, 'w').close()\ndef docs(docs): return docs\n")
    with (words / "words.yaml").open("a") as file:
        file.write("process_docs: !function code.docs\n")
    assert ALLOW_TASK_CODE in refusal(words).remedy
    assert not canary.exists()
    monkeypatch.setenv(ALLOW_TASK_CODE, "1")
    assert isinstance(inspect(words), BenchmarkFacts)
    assert canary.exists()


def test_templates_cannot_reach_python(tmp_path: Path) -> None:
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    write_task(tmp_path, "words", three_splits(), **{**CHOICE, "doc_to_text": escape})
    assert "SecurityError" in refusal(tmp_path).detail


@pytest.mark.parametrize(
    "member",
    [
        "{task: words, metric_list: [{metric: ./code}]}",
        "{task: new, dataset_path: json, metric_list: [{metric: acc, hf_evaluate: true}]}",
        "{group: inner, task: [{task: words, dataset_kwargs: {trust_remote_code: true}}]}",
        "{task: words, unsafe_code: true}",
    ],
)
def test_a_group_cannot_bring_code_to_its_members(words: Path, member: str) -> None:
    (words / "all.yaml").write_text(
        f"group: all\ntask: [{member}]\naggregate_metric_list: [{{metric: acc}}]\n"
    )
    error = refusal(words, "all")
    assert "none of lm-eval's" in error.detail or ALLOW_TASK_CODE in error.remedy


def test_groups_that_contain_each_other_are_refused(words: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        (words / f"{name}.yaml").write_text(
            f"group: {name}\ntask: [{other}]\naggregate_metric_list: [{{metric: acc}}]\n"
        )
    assert "RecursionError" in refusal(words, "one").detail


def test_a_task_that_runs_the_models_code_is_refused(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(), unsafe_code=True, **CHOICE)
    assert "runs the code that the model writes" in refusal(tmp_path).detail


# --- groups and lm-eval's own tasks ------------------------------------------------------------------


def test_a_group_is_one_benchmark(tmp_path: Path) -> None:
    for name, count in (("one", 4), ("two", 12)):
        write_task(tmp_path, name, three_splits(count), **CHOICE)
    (tmp_path / "both.yaml").write_text(
        "group: both\ntask: [one, two]\naggregate_metric_list: [{metric: acc}]\n"
    )
    found = facts(tmp_path, "both")
    assert (found.items["search"], found.metrics) == (16, ("acc,none",))
    assert facts(tmp_path, "both", max_items=10).items["search"] == 10
    assert "1 items do not reach for the 2 tasks" in refusal(tmp_path, "both", max_items=1).detail
    assert isinstance(inspect(tmp_path, "both", metric="acc_norm"), UnknownMetricError)


@pytest.mark.parametrize("kind", ["group: all\ntask: [one, two]\n", None])
def test_a_collection_without_a_common_score_is_refused_with_its_tasks(
    tmp_path: Path, kind: str | None
) -> None:
    for name in ("one", "two"):
        write_task(tmp_path, name, three_splits(), tag=None if kind else "all", **CHOICE)
    if kind:
        (tmp_path / "all.yaml").write_text(kind)
    error = refusal(tmp_path, "all")
    assert "collection of 2 tasks" in error.detail
    assert error.remedy.endswith("one, two")


@pytest.mark.slow
def test_lm_evals_own_tasks_are_found_by_name() -> None:
    # One test for all of them: lm-eval takes ten seconds, and on a busy machine a minute, to index its tasks.
    unknown, unsafe, tag, remote = (
        refusal(None, name) for name in ("hellaswagg", "humaneval", "ai2_arc", "arc_easy")
    )
    assert isinstance(unknown, UnknownTaskError)
    assert "hellaswag" in unknown.remedy
    assert ALLOW_TASK_CODE in unsafe.remedy
    assert tag.remedy.endswith("arc_challenge, arc_easy")
    assert "allenai/ai2_arc" in remote.detail  # the tests have no network
    assert "lm_eval.tasks.humaneval.utils" not in sys.modules


@pytest.mark.slow
def test_two_processes_can_read_the_same_new_data_at_once(words: Path, tmp_path: Path) -> None:
    program = (
        "from evaluators import Benchmark\n"
        "from evaluators.lm_eval.harness import inspect_benchmarks\n"
        f"(found,) = inspect_benchmarks([Benchmark(name='b', task='words', include_path={str(words)!r})])\n"
        "print(found.items)"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HF_HOME": str(tmp_path / "home"),
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in running:
        output, noise = process.communicate(timeout=240)
        assert output.decode().strip() == "{'search': 12, 'selection': 12, 'test': 12}", noise.decode()
        assert b"examples/s" not in noise  # no progress bars


# --- what readers of a score must know ---------------------------------------------------------------


def test_what_one_benchmark_searches_on_is_not_held_out_for_another(tmp_path: Path) -> None:
    data = {"validation": rows(0, 200)}
    write_task(tmp_path, "words", data, **CHOICE)
    write_task(tmp_path, "again", data, **CHOICE)
    asked = [
        Benchmark(name=name, task=task, include_path=str(tmp_path), splits=ItemShares(seed=seed))
        for name, task, seed in (("one", "words", 0), ("alike", "again", 0), ("other", "again", 1))
    ]
    one, alike, other = inspect_benchmarks(asked)
    assert isinstance(one, BenchmarkFacts)
    assert isinstance(alike, BenchmarkFacts)
    assert isinstance(other, SplitError)
    assert "split of one" in other.detail or "split of alike" in other.detail


def test_passages_that_search_and_test_share_are_measured(tmp_path: Path) -> None:
    long = "w1 w2 w3 w4 w5 w6 w7 w8 w9"
    data: dict[str, Any] = {**three_splits()}
    data["search"] = [*rows(0), {"q": f"{long} w10", "a": 0}]
    data["test"] = [*rows(200, 9), {"q": f"w11 {long}", "a": 0}]
    write_task(tmp_path, "words", data, **CHOICE)
    assert facts(tmp_path).overlap == 0.1


def test_searching_on_a_public_test_set_is_told(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 500)):
        folder = tmp_path / "public"
        folder.mkdir(exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows(first, 100))
        (folder / f"{split}.jsonl").write_text(lines)
    for name, split in (("tested", "test"), ("trained", "train")):
        config = {"task": name, "dataset_path": str(folder), "test_split": split, **CHOICE}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
    (warning,) = facts(tmp_path, "tested").warnings
    assert "public test set" in warning
    assert "split test" in warning
