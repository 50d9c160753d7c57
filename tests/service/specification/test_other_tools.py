"""Files of other tools are read as the experiments that they describe."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.spaces.mergekit_genotype import GENE_SPAN
from service.specification.other_tools import Translation, UntranslatableError, translate
from service.specification.other_tools.evolve_file import PUBLIC_BENCHMARKS
from service.specification.other_tools.mergenetic_file import NOT_MAPPED
from service.specification.reading import read_spec

GENOME = {"models": ["org/left", "org/right"], "merge_method": "ties", "base_model": "org/base"}


def evolve(genome: dict[str, Any] | None = None, /, **said: Any) -> Translation:
    """Translates a genome file with one task, changed as said."""
    found = translate({"genome": GENOME | (genome or {}), "tasks": ["words"], **said})
    assert found is not None
    spec, mistakes = read_spec(found.content | {"name": "translated"})
    assert spec is not None, mistakes
    return found


def warnings(found: Translation) -> list[str]:
    return [remark.text for remark in found.remarks if remark.is_warning]


def pointers(content: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(UntranslatableError) as caught:
        translate(content)
    assert all(mistake.remedy for mistake in caught.value.mistakes)
    return [(mistake.pointer, mistake.detail) for mistake in caught.value.mistakes]


# mergekit-evolve


def test_a_file_of_our_own_is_not_translated() -> None:
    assert translate({"parents": ["a", "b"], "objectives": [{"task": "words"}]}) is None
    assert translate({"merge_method": "ties", "models": []}) is None


def test_the_weighted_sum_is_climbed_and_each_task_is_an_objective() -> None:
    tasks = [
        {"name": "words", "weight": 0.4},
        {"name": "lines", "weight": -2.0, "metric": "word_perplexity,none"},
        "sums",
    ]
    found = evolve(tasks=tasks, num_fewshot=3, limit=200)
    shared = {"num_fewshot": 3, "max_items": 200, "allow_few_items": True}
    assert found.content["objectives"] == [
        {"task": "words", "metric": "acc,none", "direction": "maximize", "weight": 0.4, **shared},
        {"task": "lines", "metric": "word_perplexity,none", "direction": "minimize", "weight": 2.0, **shared},
        {"task": "sums", "metric": "acc,none", "direction": "maximize", "weight": 1.0, **shared},
    ]
    assert found.content["optimizer"] == {"algorithm": "cma_es", "sigma": pytest.approx(1 / 6 / GENE_SPAN)}
    assert found.content["budget"] == {"candidates": 100}
    said = " ".join(remark.text for remark in found.remarks)
    assert "weighted sum of 3 tasks" in said
    assert "three splits: search is climbed, selection picks the winner" in said


def test_one_task_by_two_metrics_is_two_objectives_and_twice_the_same_is_one() -> None:
    strict, flexible = "exact_match,strict-match", "exact_match,flexible-extract"
    wanted = [(strict, 1), (flexible, 2), (strict, 3)]
    found = evolve(tasks=[{"name": "gsm_train", "metric": m, "weight": w} for m, w in wanted])
    assert [(o["name"], o["weight"]) for o in found.content["objectives"]] == [
        (f"gsm_train {strict}", 4.0),
        (f"gsm_train {flexible}", 2.0),
    ]


def test_every_option_of_the_genome_is_taken_over() -> None:
    genome = {
        "models": ["org/left", "org/base", "org/right"],
        "tokenizer_source": "union",
        "layer_granularity": 4,
        "normalize": False,
        "allow_negative_weights": True,
        "filters": ["self_attn", "mlp"],
        "smooth": True,
    }
    assert evolve(genome, random_init=True).content["space"] == {
        "kind": "mergekit_evolve",
        "method": "ties",
        "base_position": 1,
        "random_init": True,
        **{key: value for key, value in genome.items() if key != "models"},
    }
    nothing = {"tokenizer_source": None, "layer_granularity": 0, "normalize": None, "filters": None}
    assert evolve(nothing).content["space"] == {"kind": "mergekit_evolve", "method": "ties"}


@pytest.mark.parametrize(
    ("written", "parent"),
    [
        ("org/left@v2", {"model": "org/left", "revision": "v2"}),
        ("org/left+org/adapter", {"model": "org/left", "adapter": "org/adapter"}),
        (
            "org/left@v2+org/adapter@main",
            {"model": "org/left", "revision": "v2", "adapter": "org/adapter", "adapter_revision": "main"},
        ),
        ("./left+org/adapter", {"model": "./left", "adapter": "org/adapter"}),
        ("./left+./adapter", {"model": "./left", "adapter": "./adapter"}),
        (
            {"model": {"path": "org/left", "revision": "v2"}, "lora": {"path": "org/adapter"}},
            {"model": "org/left", "revision": "v2", "adapter": "org/adapter"},
        ),
        ({"model": "org/left", "lora": None}, "org/left"),
    ],
)
def test_references_are_read_as_mergekit_reads_them(written: Any, parent: Any) -> None:
    found = evolve({"models": [written, "org/right"], "base_model": written})
    assert found.content["parents"] == [parent, "org/right"]
    assert found.content["base"] == parent
    assert found.content["space"]["base_position"] == 0


def test_models_are_asked_with_the_chat_template_unless_the_file_says_otherwise() -> None:
    assert evolve().content["chat"] == {"apply": "available", "fewshot_as_multiturn": True}
    said = evolve(apply_chat_template=True, fewshot_as_multiturn=False).content["chat"]
    assert said == {"apply": "on", "fewshot_as_multiturn": False}
    assert evolve(apply_chat_template=False).content["chat"] == {"apply": "off"}
    assert not warnings(evolve())


def test_keys_that_mergekit_ignores_are_warned_of_with_what_was_meant() -> None:
    found = evolve(
        {"layer_granulariy": 4}, model_name="mine", tasks=[{"name": "words", "wieght": 2}], shuffle=True
    )
    ignored = {remark.pointer: remark.text for remark in found.remarks if remark.is_ignored_key}
    assert ignored.keys() == {"/model_name", "/genome/layer_granulariy", "/tasks/0/wieght"}
    assert "did you mean 'layer_granularity'?" in ignored["/genome/layer_granulariy"]
    assert "did you mean 'weight'?" in ignored["/tasks/0/wieght"]


def test_public_benchmarks_are_warned_of_unless_it_is_known() -> None:
    assert all(warnings(evolve(tasks=[f"{name}_x"], apply_chat_template=False)) for name in PUBLIC_BENCHMARKS)
    assert not warnings(evolve(tasks=["gsm8k_train"], apply_chat_template=False))
    known = translate(
        {"genome": GENOME, "tasks": ["gsm8k"], "apply_chat_template": False}, allow_benchmarks=True
    )
    assert known is not None
    assert not warnings(known)


def test_a_task_of_weight_0_is_not_asked_and_one_that_is_better_when_lower_is_told() -> None:
    tasks = [
        {"name": "words"},
        {"name": "sums", "weight": 0},
        {"name": "lines", "metric": "word_perplexity,none"},
    ]
    found = evolve(tasks=tasks, apply_chat_template=False)
    assert [o["task"] for o in found.content["objectives"]] == ["words", "lines"]
    assert [text.partition(" ")[0] for text in warnings(found)] == ["sums", "word_perplexity,none"]


def test_mistakes_are_told_where_they_stand_in_the_file() -> None:
    found = evolve(
        tasks=["words", {"name": "sums", "weight": 0}, {"name": "lines", "metric": "acc"}], limit=90
    )
    places = {
        "/parents/1": "/genome/models/1",
        "/base": "/genome/base_model",
        "/space/layer_granularity": "/genome/layer_granularity",
        "/space/method": "/genome/merge_method",
        "/objectives/1/metric": "/tasks/2/metric",
        "/objectives/1/task": "/tasks/2/name",
        "/objectives/0/max_items": "/limit",
        "/objectives": "/tasks",
        "/budget/candidates": "",
    }
    assert {pointer: found.origin_of(pointer) for pointer in places} == places


@pytest.mark.parametrize(
    ("changed", "pointer", "detail"),
    [
        ({"tasks": []}, "/tasks", "too_short"),
        ({"tasks": [{"weight": 1.0}]}, "/tasks/0/name", "name is missing"),
        ({"tasks": [{"name": "a", "weight": 0}]}, "/tasks", "all weights are 0"),
        ({"limit": 0}, "/limit", "0 does not fit"),
        ({"num_fewshot": "many"}, "/num_fewshot", "'many' does not fit"),
        ({"genome": GENOME | {"merge_method": "dare_linear"}}, "/genome/merge_method", "'dare_linear'"),
        ({"genome": GENOME | {"models": ["org/a", "org/a"]}}, "/genome/models/1", "stands there twice"),
        ({"genome": GENOME | {"models": ["org/a+org/b+org/c"]}}, "/genome/models/0", "no model reference"),
        ({"genome": GENOME | {"layer_granularity": -1}}, "/genome/layer_granularity", "-1 layers"),
        ({"genome": []}, "/genome", "[] does not fit"),
    ],
)
def test_what_mergekit_refuses_is_refused_with_its_place(
    changed: dict[str, Any], pointer: str, detail: str
) -> None:
    found = pointers({"genome": GENOME, "tasks": ["words"], **changed})
    assert [where for where, _ in found] == [pointer]
    assert detail in found[0][1] or detail == "too_short"


# mergenetic

MERGENETIC = {
    "run_id": "languages", "pop_size": 7, "n_iter": 5, "metric": "acc", "seed": 42, "n_samples": 60,
    "models": ["org/italian", "org/dutch", "org/base"], "base_model": "org/base",
    "tasks": ["arc_it", "arc_nl"], "dtype": "float16", "eval_batch_size": 16, "device": "cuda:2",
    "load_in_4bit": True, "additional_templates_folder": "lm_tasks",
    "path_to_store_config": "x", "path_to_store_merged_model": "y",
}  # fmt: skip


def test_a_mergenetic_configuration_is_taken_over_as_far_as_it_maps() -> None:
    found = translate(MERGENETIC)
    assert found is not None
    spec, mistakes = read_spec(found.content)
    assert spec is not None, mistakes
    assert (spec.name, spec.seed, spec.batch_size, spec.dtype) == ("languages", 42, 16, "float16")
    assert (spec.budget.candidates, spec.optimizer.population) == (35, 7)
    assert [(o.task, o.metric, o.max_items) for o in spec.objectives] == [
        ("arc_it", "acc", 60),
        ("arc_nl", "acc", 60),
    ]
    assert spec.space.model_dump()["method"] == "dare_ties"
    dropped = {"device", "load_in_4bit", "path_to_store_config", "path_to_store_merged_model"}
    assert {text.partition(" ")[0] for text in warnings(found)} == dropped <= NOT_MAPPED.keys()


def test_a_mergenetic_configuration_by_languages_searches_on_its_search_tasks() -> None:
    by_language = {
        "models": {"ro": "org/romanian"},
        "tasks": {"search": {"ro": "gsm8k-ro", "base": "gsm8k-en"}, "test": {"ro": "gsm8k-ro"}},
        "pop_size": 1,
        "mode": "gmpirt",
        "surprise": 1,
    }
    found = translate(MERGENETIC | by_language)
    assert found is not None
    assert [o["task"] for o in found.content["objectives"]] == ["gsm8k-ro"]
    assert found.content["space"]["method"] == "slerp"
    told = " ".join(warnings(found))
    assert "a population of 1 learns nothing" in told
    assert found.content["optimizer"]["population"] == 4
    assert found.content["budget"]["candidates"] % 4 == 0
    assert "item response theory" in told
    assert "unknown key 'surprise'" in told


def test_a_mergenetic_configuration_of_tables_says_what_to_write_instead() -> None:
    content = {key: value for key, value in MERGENETIC.items() if key != "tasks"} | {
        "datasets": {"ro": "a.csv"}
    }
    assert pointers(content) == [("/datasets", "there are no tasks")]
