"""Specs checked against checkpoints on paper and a workforce that knows two tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluators import Benchmark, BenchmarkFacts, Split
from service.errors import InvalidSpecError, Mistake
from service.specification.planning import ExperimentFacts
from service.specification.spec_check import Checked, check_spec
from tests.service.paper_checkpoints import write_checkpoint
from tests.service.scripted_workforce import ScriptedWorkforce
from workers.errors import WorkerError
from workers.protocol.messages import BenchmarkInquiry, BenchmarkProblem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("base", "left", "right"):
        write_checkpoint(tmp_path / name)
    return tmp_path


def spec_in(folder: Path, **changes: Any) -> dict[str, Any]:
    content = {
        "name": "small",
        "parents": [str(folder / "left"), str(folder / "right")],
        "base": str(folder / "base"),
        "objectives": [{"task": "words"}],
        "budget": {"candidates": 50},
    }
    return {key: value for key, value in (content | changes).items() if value is not ...}


def check(raw: dict[str, Any], workforce: ScriptedWorkforce | None = None) -> Checked:
    return check_spec(raw, workforce or ScriptedWorkforce(benchmarks=("words", "sums")))


def mistakes(raw: dict[str, Any], workforce: ScriptedWorkforce | None = None) -> list[Mistake]:
    with pytest.raises(InvalidSpecError) as caught:
        check(raw, workforce)
    return list(caught.value.mistakes)


def only_mistake(raw: dict[str, Any]) -> Mistake:
    found = mistakes(raw)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_a_good_spec_gives_the_facts_that_the_run_will_need(folder: Path) -> None:
    checked = check(spec_in(folder))
    facts = ExperimentFacts.model_validate(checked.facts)
    assert (facts.layers, facts.layer_prefix) == (2, "model.layers.")
    assert facts.parameters == 8 * 4 + 4 + 2 * 2 * 16
    assert facts.parent_bytes == 3 * 4 * facts.parameters
    assert [objective.name for objective in facts.objectives] == ["words"]
    assert facts.objectives[0].items == {"search": 64, "selection": 64, "test": 64}
    assert facts.baselines[0].label == "parent: left"
    assert len(checked.genes) == 2
    assert checked.warnings == ()


def test_the_facts_and_the_spec_are_plain_json(folder: Path) -> None:
    checked = check(spec_in(folder))
    assert json.loads(json.dumps(checked.facts)) == checked.facts
    again = check(checked.spec.model_dump(mode="json"))
    assert again.spec == checked.spec
    assert again.facts == checked.facts


def test_relative_paths_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    checked = check(spec_in(folder, parents=["./left", "right"], base="base", tasks_path="."))
    assert [str(p) for p in checked.spec.all_parents] == [str(folder / n) for n in ("left", "right", "base")]
    assert checked.spec.tasks_path == str(folder)


def test_few_items_and_few_candidates_are_warned_of(folder: Path) -> None:
    class FewItems(ScriptedWorkforce):
        def _look_up(self, benchmark: Any) -> Any:
            facts: Any = super()._look_up(benchmark)
            facts.items["test"] = 5
            return facts

    warnings = check(spec_in(folder, budget={"candidates": 6}), FewItems()).warnings
    assert len(warnings) == 2
    assert "test split has only 5 items" in warnings[0]
    assert "6 candidates are few for 2 genes" in warnings[1]


CHANGES: dict[str, tuple[dict[str, Any], str, str, str, str]] = {
    # what is changed, and the mistake: pointer, code, a part of what is wrong, a part of the hint
    "unknown method": (
        {"space": {"method": "dare-ties"}},
        "/space/method",
        "unknown_name",
        "unknown merge method 'dare-ties'",
        "did you mean 'dare_ties'?",
    ),
    "unknown parameter": (
        {"space": {"bounds": {"wieght": [0, 1]}}},
        "/space/bounds/wieght",
        "unknown_name",
        "'wieght'",
        "did you mean 'weight'?",
    ),
    "unknown key": (
        {"objektives": []},
        "/objektives",
        "unknown_key",
        "unknown key 'objektives'",
        "did you mean 'objectives'?",
    ),
    "unknown nested key": (
        {"budget": {"candidates": 50, "second": 3}},
        "/budget/second",
        "unknown_key",
        "unknown key 'second'",
        "did you mean 'seconds'?",
    ),
    "unknown key of a split": (
        {"objectives": [{"task": "words", "splits": {"serach": 0.3, "seed": 1}}]},
        "/objectives/0/splits/serach",
        "unknown_key",
        "unknown key 'serach'",
        "did you mean 'search'?",
    ),
    "unknown optimizer": (
        {"optimizer": {"algorithm": "cmaes"}},
        "/optimizer/algorithm",
        "unknown_name",
        "unknown optimizer 'cmaes'",
        "did you mean 'cma_es'?",
    ),
    "unknown task": (
        {"objectives": [{"task": "words"}, {"task": "gsm9k"}]},
        "/objectives/1/task",
        "unknown_task",
        "there is no task 'gsm9k'",
        "use one of",
    ),
    "unknown metric": (
        {"objectives": [{"task": "words", "metric": "f1"}]},
        "/objectives/0/metric",
        "unknown_metric",
        "no metric 'f1'",
        "use acc",
    ),
    "missing base": ({"base": ...}, "/base", "invalid_recipe", "task_arithmetic needs a base", "ancestor"),
    "zero budget": (
        {"budget": {"candidates": 0}},
        "/budget/candidates",
        "greater_than_equal",
        "0 does not fit",
        "use 1 or more",
    ),
    "no budget": ({"budget": ...}, "/budget", "missing", "budget is missing", "add it"),
    "population larger than the budget": (
        {"optimizer": {"population": 60}},
        "/optimizer/population",
        "larger_than_budget",
        "a population of 60 is larger than the budget of 50",
        "raise budget.candidates to 60 or more, or set optimizer.population to 50 or less",
    ),
    "the usual population larger than the budget": (
        {"optimizer": {"algorithm": "nsga2"}, "budget": {"candidates": 5}},
        "/optimizer/population",
        "larger_than_budget",
        "the algorithm's usual population of 20 is larger than the budget of 5",
        "raise budget.candidates to 20 or more, or set optimizer.population to 5 or less",
    ),
    "population too small": (
        {"optimizer": {"algorithm": "cma_es", "population": 2}},
        "/optimizer/population",
        "invalid_space",
        "2 candidates are too few",
        "use 3 or more",
    ),
    "a number as text": (
        {"batch_size": "64"},
        "/batch_size",
        "int_type",
        '"64" does not fit',
        "write a whole number",
    ),
    "true for a number": (
        {"budget": {"candidates": True}},
        "/budget/candidates",
        "int_type",
        "true does not fit",
        "write a whole number",
    ),
    "too many layer groups": (
        {"space": {"layer_groups": 3}},
        "/space/layer_groups",
        "invalid_space",
        "3 groups of 2 layers",
        "use at most 2",
    ),
    "a LoRA adapter": (
        {"base": "org/model+lora"},
        "/base",
        "bad_value",
        "'lora' is no adapter",
        "org/adapter",
    ),
    "a folder of tasks that is not there": (
        {"tasks_path": "/nowhere"},
        "/tasks_path",
        "not_found",
        "there is no folder /nowhere",
        "name a folder",
    ),
    "two objectives of one name": (
        {"objectives": [{"task": "words"}, {"task": "words"}]},
        "/objectives",
        "bad_value",
        "two objectives are called 'words'",
        "give one of them another `name`",
    ),
    "a recipe that is none": (
        {"baselines": {"recipes": {"my/own": "merge_method: tise\nmodels:\n  - model: left\n"}}},
        "/baselines/recipes/my~1own",
        "unknown_name",
        "merge_method: unknown merge method 'tise'",
        "did you mean 'ties'?",
    ),
    "a recipe of other parents": (
        {"baselines": {"recipes": {"own": "merge_method: passthrough\nmodels:\n  - model: org/other\n"}}},
        "/baselines/recipes/own",
        "unknown_parent",
        "org/other is none of the experiment's parents",
        "",
    ),
    "a filter of no tensor": (
        {"space": {"layer_groups": 2, "filters": ["mpl"]}},
        "/space/filters/0",
        "idle_filter",
        "'mpl' is part of no tensor's name",
        "use a part of one, as of model.",
    ),
    "measures without range": (
        {"optimizer": {"algorithm": "map_elites"}, "measures": [{"kind": "depth", "low": 2}]},
        "/measures/0/high",
        "missing",
        "high is missing",
        "add it",
    ),
    "an objective of nothing": (
        {"objectives": [{"weight": 2.0}]},
        "/objectives/0",
        "bad_value",
        "an objective of kind lm_eval needs task",
        "give it task",
    ),
    "a direction that is none": (
        {"objectives": [{"task": "words", "direction": "up"}]},
        "/objectives/0/direction",
        "unknown_name",
        '"up" does not fit',
        "use 'maximize' or 'minimize'",
    ),
    "a kind of space that is none": (
        {"space": {"kind": "layers"}},
        "/space",
        "unknown_name",
        "unknown kind of space",
        "use one of: parameter, layer_stacking",
    ),
    "a winner in a joint space": (
        {"space": {"kind": "joint", "stacking": {"kind": "layer_stacking", "winner": "first"}}},
        "/space/stacking/winner",
        "bad_value",
        "'first' is no recipe",
        "leave it out",
    ),
    "a name with a line break": (
        {"name": "two\nlines"},
        "/name",
        "string_pattern_mismatch",
        "does not fit",
        "leave line breaks",
    ),
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_mistake_names_the_field_the_value_and_the_remedy(folder: Path, what: str) -> None:
    changes, pointer, code, detail, hint = CHANGES[what]
    found = only_mistake(spec_in(folder, **changes))
    assert (found.pointer, found.code) == (pointer, code)
    assert detail in found.detail
    assert hint in found.remedy


def test_a_parent_that_is_not_there(folder: Path) -> None:
    missing = str(folder / "lefd")
    found = only_mistake(spec_in(folder, parents=[missing, str(folder / "right")]))
    assert (found.pointer, found.code) == ("/parents/0", "bad_checkpoint")
    assert missing in found.detail
    assert found.remedy


def test_a_parent_with_a_name_that_no_folder_can_have(folder: Path) -> None:
    found = only_mistake(spec_in(folder, parents=["/" + "x" * 300, str(folder / "right")]))
    assert found.pointer == "/parents/0"


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"config": {"architectures": ["MistralForCausalLM"]}}, "MistralForCausalLM"),
        ({"hidden": 6}, "shape"),
        ({"tokens": 9}, "vocabulary of 9"),
        ({"layers": 3}, "3 layers"),
    ],
)
def test_parents_that_do_not_fit_together(folder: Path, shape: dict[str, Any], words: str) -> None:
    write_checkpoint(folder / "other", **shape)
    found = mistakes(spec_in(folder, parents=[str(folder / "left"), str(folder / "other")]))
    assert {(mistake.pointer, mistake.code) for mistake in found} == {("/parents/1", "parents_differ")}
    assert words in found[0].detail


def test_a_pickle_instead_of_safetensors(folder: Path) -> None:
    (folder / "base" / "model.safetensors").rename(folder / "base" / "pytorch_model.bin")
    found = only_mistake(spec_in(folder))
    assert found.pointer == "/base"
    assert "pickle" in found.detail


def test_truncated_safetensors(folder: Path) -> None:
    weights = folder / "right" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    found = only_mistake(spec_in(folder))
    assert found.pointer == "/parents/1"
    assert "truncated" in found.detail


def test_all_mistakes_are_told_at_once_whatever_else_is_wrong(folder: Path) -> None:
    (folder / "base" / "model.safetensors").unlink()
    found = mistakes(
        {
            "name": "",
            "parents": [str(folder / "left"), str(folder / "gone")],
            "base": str(folder / "base"),
            "space": {"method": "tise", "bounds": {"weigth": [0, 1], "density": [2, 1]}, "layer_groups": 9},
            "objectives": [
                {"task": "words", "weight": -1},
                {"task": "gsm9k"},
                {"task": "sums", "metric": "f1"},
            ],
            "optimizer": {"algorithm": "nsga3", "population": 10},
            "budget": {"candidates": 5},
            "baselines": {"recipes": {"own": "merge_method: linaer\nmodels: []\n"}},
            "tasks_path": "/nowhere",
            "sede": 3,
        }
    )
    assert {mistake.pointer for mistake in found} == {
        "/name",
        "/parents/1",
        "/base",
        "/space/method",
        "/space/bounds/weigth",
        "/space/bounds/density",
        "/space/layer_groups",
        "/objectives/0/weight",
        "/objectives/1/task",
        "/objectives/2/metric",
        "/optimizer/algorithm",
        "/optimizer/population",
        "/baselines/recipes/own",
        "/tasks_path",
        "/sede",
    }
    assert all(mistake.code and mistake.detail for mistake in found)


def test_content_that_is_no_spec_at_all() -> None:
    found = mistakes({"parents": "left", "objectives": {}, "budget": 3, "space": [], "optimizer": None})
    assert {"/name", "/parents", "/objectives", "/budget", "/space", "/optimizer"} <= {
        m.pointer for m in found
    }


def test_workers_that_cannot_look_tasks_up_are_told_of(folder: Path) -> None:
    force = ScriptedWorkforce()
    force.job_error = WorkerError("lm_eval", "is not installed", "install evomerge[worker]")
    found = mistakes(spec_in(folder), force)
    assert [(m.pointer, m.remedy) for m in found] == [("/objectives", "install evomerge[worker]")]


def test_tasks_are_asked_for_as_they_will_be_used(folder: Path) -> None:
    force = ScriptedWorkforce()
    check(spec_in(folder, tasks_path=str(folder), objectives=[{"task": "words", "num_fewshot": 3}]), force)
    assert isinstance(force.jobs[0], BenchmarkInquiry)
    benchmark = force.jobs[0].benchmarks[0]
    assert (benchmark.include_path, benchmark.num_fewshot) == ((str(folder),), 3)


class Small(ScriptedWorkforce):
    """Knows a task with few items, on which people must not search by mistake."""

    def _look_up(self, benchmark: Benchmark) -> BenchmarkFacts | BenchmarkProblem:
        items: dict[Split, int] = {"search": 25, "selection": 64, "test": 64}
        return BenchmarkFacts(
            benchmark.name, items, ("acc,none",), True, overlap=0.25, warnings=("everybody has seen it",)
        )


def test_few_search_items_need_a_word(folder: Path) -> None:
    (found,) = mistakes(spec_in(folder), Small())
    assert (found.pointer, found.code) == ("/objectives/0", "too_few_items")
    assert "25 items" in found.detail
    assert "±0.10" in found.detail
    assert "allow_few_items" in found.remedy
    checked = check(spec_in(folder, objectives=[{"task": "words", "allow_few_items": True}]), Small())
    assert any("only 25 items" in warning for warning in checked.warnings)


def test_what_readers_of_scores_must_know_stays_with_the_experiment(folder: Path) -> None:
    checked = check(spec_in(folder, objectives=[{"task": "words", "allow_few_items": True}]), Small())
    assert "everybody has seen it" in checked.warnings
    assert any("25% of its test items share passages" in warning for warning in checked.warnings)
    (objective,) = ExperimentFacts.model_validate(checked.facts).objectives
    assert (objective.overlap, objective.warnings) == (0.25, ("everybody has seen it",))


@pytest.mark.parametrize("algorithm", ["kinship_greedy", "model_glue"])
def test_parents_are_compared_where_the_optimizer_asks_for_it(folder: Path, algorithm: str) -> None:
    workforce = ScriptedWorkforce()
    checked = check(spec_in(folder, optimizer={"algorithm": algorithm}), workforce)
    assert ExperimentFacts.model_validate(checked.facts).kinship == ((1.0, 0.25), (0.25, 1.0))
    assert [type(job).__name__ for job in workforce.jobs] == ["BenchmarkInquiry", "KinshipInquiry"]
    assert ExperimentFacts.model_validate(check(spec_in(folder)).facts).kinship is None


def test_an_algorithms_own_settings_and_its_measures_are_checked(folder: Path) -> None:
    mistake = only_mistake(spec_in(folder, optimizer={"algorithm": "m2n2", "options": {"archiv": 15}}))
    assert (mistake.pointer, mistake.remedy) == ("/optimizer/options/archiv", "did you mean 'archive'?")
    mistake = only_mistake(spec_in(folder, optimizer={"algorithm": "map_elites"}))
    assert mistake.pointer == "/measures"
    mistake = only_mistake(spec_in(folder, optimizer={"algorithm": "nevergrad:TwoPointDE"}))
    assert (mistake.pointer, mistake.remedy) == ("/optimizer/algorithm", "did you mean 'TwoPointsDE'?")


def test_everything_that_is_wrong_with_measures_and_constraints_is_told_at_once(folder: Path) -> None:
    found = mistakes(
        spec_in(
            folder,
            measures=[
                {"kind": "depth", "cells": 4},
                {"kind": "depth", "low": 9, "high": 3},
                {"kind": "score", "objective": "wrods", "low": 0, "high": 1},
                {"kind": "share", "low": 0, "high": 1},
                {"kind": "share", "parent": "/nowhere", "low": 0, "high": 1},
            ],
            constraints=[
                {"objective": "words"},
                {"kind": "depth", "not_below": "best_parent"},
                {"objective": "words", "at_least": 0.9, "at_most": 0.1},
            ],
            optimizer={"algorithm": "cma_es", "window": 8, "order": "completed", "options": {"no": 1}},
        )
    )
    pointers = {mistake.pointer for mistake in found}
    assert pointers >= {
        "/measures/0/low",
        "/measures/0/high",
        "/measures/1",
        "/measures/2/objective",
        "/measures/3",
        "/measures/4/parent",
        "/constraints/0",
        "/constraints/1",
        "/constraints/2",
        "/optimizer/options/no",
    }
    assert all(mistake.detail and mistake.remedy for mistake in found)


def test_a_window_needs_a_steady_state(folder: Path) -> None:
    for key, value in (("window", 8), ("order", "completed")):
        optimizer = {"algorithm": "cma_es", key: value}
        assert only_mistake(spec_in(folder, optimizer=optimizer)).pointer == f"/optimizer/{key}"
        check(spec_in(folder, optimizer=optimizer | {"steady_state": True}))


def test_a_method_that_reads_records_is_refused_where_there_are_none(folder: Path) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        check(spec_in(folder, space={"method": "fisher"}))
    assert {(m.pointer, m.code) for m in refused.value.mistakes} == {("/space/method", "merge_failed")}
    assert "evomerge calibrate" in refused.value.mistakes[0].remedy
    assert "left: has no fisher record" in refused.value.mistakes[0].detail
