from __future__ import annotations

from typing import Any

import pytest

from search_spaces import Infeasible, Recipe
from search_spaces.errors import RecipeFileError, UnknownNameError
from service.optimizers import OPTIMIZERS
from service.search.loop import genome_of
from service.search.plan import Baseline
from service.specification.baselines import baselines_for
from service.specification.planning import (
    ExperimentFacts,
    build_optimizer_for,
    build_pool,
    build_space_for,
    plan_for,
)
from tests.service.small_experiments import SHAPE, facts_for, small_spec, with_optimizer


def baselines_of(**changes: Any) -> dict[str, Baseline]:
    spec = small_spec(**({"baselines": {}} | changes))
    return {baseline.label: baseline for baseline in baselines_for(spec, build_pool(spec, SHAPE))}


def value(recipe: Recipe, name: str) -> float | None:
    part = recipe.slices[0]
    if name in part.sources[0].parameters:
        return recipe.parent_value(name, part, part.sources[0], "", 0.0)
    return recipe.shared_value(name, part, "", 0.0)


def test_the_baselines_go_from_the_parents_to_the_usual_recipes() -> None:
    assert list(baselines_of()) == [
        "parent: left",
        "parent: right",
        "base: base",
        "plain average",
        "task arithmetic λ=0.3",
        "task arithmetic λ=0.5",
        "task arithmetic λ=0.7",
        "task arithmetic λ=1.0",
        "TIES (density 0.5)",
        "DARE-TIES (density 0.5)",
        "slerp t=0.5",
    ]


def test_without_a_base_there_are_no_recipes_on_task_vectors() -> None:
    labels = list(baselines_of(base=None, space={"method": "linear"}))
    assert labels == ["parent: left", "parent: right", "plain average", "slerp t=0.5"]


def test_slerp_takes_exactly_two_parents() -> None:
    assert "slerp t=0.5" not in baselines_of(parents=["/m/a", "/m/b", "/m/c"])


def test_one_parent_has_no_average() -> None:
    assert "plain average" not in baselines_of(parents=["/m/a"])


def test_a_base_that_is_also_named_a_parent_is_mixed_once() -> None:
    labels = list(baselines_of(parents=["/models/base", "/models/left", "/models/right"]))
    assert labels[:4] == ["parent: left", "parent: right", "base: base", "plain average"]


def test_recipes_say_what_their_labels_promise() -> None:
    rungs = {label: baseline.recipe for label, baseline in baselines_of().items()}
    assert value(rungs["task arithmetic λ=0.7"], "weight") == 0.7
    assert value(rungs["task arithmetic λ=0.7"], "normalize") == 0.0
    assert value(rungs["TIES (density 0.5)"], "density") == 0.5
    assert value(rungs["plain average"], "normalize") == 1.0
    slerp = rungs["slerp t=0.5"]
    assert str(slerp.base) == "/models/left"
    assert value(slerp, "t") == 0.5
    assert all(str(rungs[f"parent: {p}"].tokenizer_owner) == f"/models/{p}" for p in ("left", "right"))


def test_every_recipe_has_the_experiments_number_format_and_seed() -> None:
    rungs = baselines_of(dtype="bfloat16", space={"seed": 5})
    assert {baseline.recipe.dtype for baseline in rungs.values()} == {"bfloat16"}
    assert rungs["DARE-TIES (density 0.5)"].recipe.seed == 5
    spec = small_spec(dtype="bfloat16")
    space = build_space_for(spec, SHAPE)
    evolved = space.decode(tuple(variable.initial for variable in space.variables))
    assert isinstance(evolved, Recipe)
    assert evolved.dtype == "bfloat16"


def test_parents_whose_paths_end_alike_are_told_apart() -> None:
    labels = list(baselines_of(parents=["/a/model", "/b/model"], base=None, space={"method": "linear"}))
    assert labels[:2] == ["parent: /a/model", "parent: /b/model"]


def test_the_users_own_recipes_come_last_and_equal_models_once() -> None:
    recipes = {
        "mine": "merge_method: passthrough\nmodels:\n  - model: /models/left\n",
        "half": "merge_method: task_arithmetic\nbase_model: /models/base\nmodels:\n"
        "  - model: /models/left\n    parameters: {weight: 0.5}\n",
    }
    labels = list(baselines_of(baselines={"recipes": recipes}))
    assert labels[-1] == "half"
    assert "mine" not in labels  # it is the parent `left`


def test_a_users_recipe_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeFileError, match="unknown merge method"):
        baselines_of(baselines={"recipes": {"mine": "merge_method: tise\nmodels: [{model: /models/left}]\n"}})


def test_the_space_can_express_parents_average_and_task_arithmetic() -> None:
    space = build_space_for(small_spec(), SHAPE)
    expressed = {label for label, b in baselines_of().items() if genome_of(space, b.recipe) is not None}
    assert expressed == {label for label in baselines_of() if not label.startswith(("TIES", "DARE", "slerp"))}


def test_the_plan_is_the_specs_with_the_baselines_that_were_stored() -> None:
    spec = small_spec(budget={"candidates": 9, "seconds": 60.0, "failures": 4}, evaluation_timeout=5.0)
    plan = plan_for(spec, facts_for(spec))
    assert (plan.budget, plan.timeout) == (spec.budget, 5.0)
    assert plan.baselines == baselines_for(spec, build_pool(spec, SHAPE))
    assert (plan.total, plan.window) == (13, None)
    assert [plan.schedule(4).generation(number) for number in (0, 3, 4, 7, 8, 12)] == [0, 0, 1, 1, 2, 3]


def test_facts_are_stored_and_read_again_without_loss() -> None:
    spec = small_spec(baselines={})
    facts = ExperimentFacts.model_validate(facts_for(spec))
    again = ExperimentFacts.model_validate_json(facts.model_dump_json())
    assert again == facts
    digests = [planned.recipe.digest for planned in again.baselines]
    assert digests == [baseline.recipe.digest for baseline in baselines_of().values()]


@pytest.mark.parametrize("algorithm", sorted(OPTIMIZERS))
def test_the_optimizer_is_built_as_the_spec_says(algorithm: str) -> None:
    spec = small_spec(**with_optimizer(algorithm, population=6), seed=3)
    space = build_space_for(spec, SHAPE)
    optimizer = build_optimizer_for(spec, space, facts_for(spec))
    assert isinstance(optimizer, OPTIMIZERS[algorithm])
    assert optimizer.population == 6
    assert optimizer.setup.weights == (1.0, 2.0)
    assert optimizer.setup.variables == space.variables


def test_an_unknown_optimizer_is_refused_with_the_nearest_name() -> None:
    spec = small_spec(optimizer={"algorithm": "cma-es"})
    with pytest.raises(UnknownNameError, match="did you mean 'cma_es'"):
        build_optimizer_for(spec, build_space_for(spec, SHAPE))


@pytest.mark.parametrize("algorithm", ["random", "nsga2"])
def test_optimizers_know_which_stacks_are_beyond_the_limits(algorithm: str) -> None:
    space: dict[str, Any] = {"kind": "layer_stacking", "repeats": 8}
    spec = small_spec(space=space, optimizer={"algorithm": algorithm})
    stacks = build_space_for(spec, SHAPE)
    genomes = build_optimizer_for(spec, stacks, facts_for(spec)).ask(range(20))
    assert not any(isinstance(stacks.decode(genome), Infeasible) for genome in genomes)
