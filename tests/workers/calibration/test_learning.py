"""Coefficients learned by gradient: the objective falls, and the recipe means what was learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces import Parent, Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from tests.tiny_models import save_tiny_model, tiny_tokenizer
from workers.calibration.learn import learn
from workers.calibration.learned_forms import chain_of_arcs
from workers.calibration.open_network import open_network
from workers.calibration.texts import draw_tokens
from workers.checkpoints.layout import Layout
from workers.checkpoints.parents import CheckpointReader
from workers.compatibility.loaded_parents import load_parents
from workers.errors import MismatchError, PreparationError
from workers.merging.methods.self_positioning import self_positions
from workers.merging.plan import plan_merge
from workers.merging.stream import merged_tensors
from workers.protocol.calibration_orders import LearningOrder, TextsToUse

LINES = [" ".join(f"w{(i * 7 + j * 3 + i * j) % 28}" for j in range(3 + i % 3)) for i in range(12)]


@pytest.fixture
def order(tmp_path: Path, tiny_parents: dict[str, Path]) -> LearningOrder:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(LINES) + "\n")
    base, *parents = (Parent(model=str(folder)) for folder in tiny_parents.values())
    return LearningOrder(
        base, tuple(parents), TextsToUse(str(path), 8, 16), steps=6, rate=0.03, batch=4, device="cpu"
    )


def merged(recipe: Recipe) -> tuple[Layout, dict[str, Tensor]]:
    layouts = load_parents(recipe)
    plan = plan_merge(recipe, layouts)
    with CheckpointReader(layouts) as parents:
        return plan.owner, {name: tensor.clone() for name, tensor in merged_tensors(plan, parents.read)}


def objective(order: LearningOrder, recipe: Recipe) -> float:
    """Returns the objective of the model that a recipe makes, computed without the learning code."""
    owner, tensors = merged(recipe)
    network = open_network(owner, torch.device("cpu")).model
    network.load_state_dict(tensors, strict=False)
    total, count = 0.0, 0
    for text in draw_tokens(order.texts, tiny_tokenizer(), None):
        with torch.no_grad():
            likelihood = network(text[None]).logits[0, :-1].log_softmax(-1)
        if order.objective == "entropy":
            total -= float((likelihood.exp() * likelihood).sum())
        else:
            total -= float(likelihood[range(len(text) - 1), text[1:]].sum())
        count += len(text) - 1
    return total / count


@pytest.mark.parametrize("scope", ["task", "layer", "tensor"])
@pytest.mark.parametrize("wanted", ["entropy", "cross_entropy"])
def test_the_objective_falls_and_the_recipe_makes_the_learned_model(
    order: LearningOrder,
    scope: Literal["task", "layer", "tensor"],
    wanted: Literal["entropy", "cross_entropy"],
) -> None:
    order = replace(order, scope=scope, objective=wanted)
    learned = learn(order)
    assert learned.after < learned.before
    assert learned.recipe.method == "task_arithmetic"
    assert read_recipe(write_recipe(learned.recipe)) == learned.recipe
    assert objective(order, learned.recipe) == pytest.approx(learned.after, abs=1e-4)


@pytest.mark.parametrize("wanted", ["entropy", "cross_entropy"])
def test_self_positioning_learns_positions_and_their_factor(
    order: LearningOrder, wanted: Literal["entropy", "cross_entropy"]
) -> None:
    order = replace(order, method="self_positioning", objective=wanted)
    learned = learn(order)
    assert learned.after < learned.before
    assert learned.recipe.method == "self_positioning"
    assert objective(order, learned.recipe) == pytest.approx(learned.after, abs=1e-4)


def test_a_penalty_makes_the_merged_task_vector_shorter(order: LearningOrder) -> None:
    def factor(penalty: float) -> float:
        recipe = learn(replace(order, method="self_positioning", penalty=penalty)).recipe
        (setting,) = recipe.parameters["lambda"]
        assert isinstance(setting.value, float)
        return setting.value

    assert factor(1e3) < factor(0.0)


def test_each_layer_has_a_weight_of_its_own(order: LearningOrder) -> None:
    for source in learn(replace(order, scope="layer")).recipe.slices[0].sources:
        weight = source.parameters["weight"]
        assert [setting.filter for setting in weight] == ["model.layers.0.", "model.layers.1.", None]
        assert len({setting.value for setting in weight}) == 3


def test_weights_stay_between_their_bounds(order: LearningOrder) -> None:
    recipe = learn(replace(order, rate=10.0, steps=3, low=-0.25, high=0.5)).recipe
    values = [s.value for source in recipe.slices[0].sources for s in source.parameters["weight"]]
    assert set(values) <= {-0.25, 0.5}


def test_equal_orders_learn_equal_recipes(order: LearningOrder) -> None:
    assert learn(order).recipe.digest == learn(order).recipe.digest


def test_no_steps_leave_the_initial_weights(order: LearningOrder) -> None:
    recipe = learn(replace(order, steps=1, rate=1e-12, scope="task", initial=0.25)).recipe
    values = [s.value for source in recipe.slices[0].sources for s in source.parameters["weight"]]
    assert values == [0.25, 0.25]


def test_weights_of_gpt2_can_be_learned(order: LearningOrder, tmp_path: Path) -> None:
    folders = [save_tiny_model(tmp_path / str(seed), seed, architecture="gpt2") for seed in range(2)]
    base, parent = (Parent(model=str(folder)) for folder in folders)
    order = replace(order, base=base, parents=(parent,), scope="tensor")
    learned = learn(order)
    assert learned.after < learned.before
    assert objective(order, learned.recipe) == pytest.approx(learned.after, abs=1e-4)


def test_parents_of_another_shape_are_refused(order: LearningOrder, tmp_path: Path) -> None:
    other = Parent(model=str(save_tiny_model(tmp_path / "gpt2", 0, architecture="gpt2")))
    with pytest.raises(MismatchError, match="other parameters"):
        learn(replace(order, parents=(other,)))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"parents": ()}, "there is none"),
        ({"steps": 0}, "steps: is 0"),
        ({"rate": float("nan")}, "rate: is nan"),
        ({"batch": 0}, "batch: is 0"),
        ({"low": 1.0, "high": 0.5}, "low"),
    ],
)
def test_numbers_that_learning_cannot_start_from_are_refused(
    order: LearningOrder, said: dict[str, object], complaint: str
) -> None:
    with pytest.raises(PreparationError, match=complaint):
        learn(replace(order, **said))  # type: ignore[arg-type]


def test_a_base_that_is_also_a_parent_is_refused(order: LearningOrder) -> None:
    with pytest.raises(PreparationError, match="twice"):
        learn(replace(order, parents=(*order.parents, order.base)))


def test_the_chain_of_arcs_is_that_of_the_merge_method() -> None:
    vectors = np.random.default_rng(0).standard_normal((4, 7))
    gram, positions = vectors @ vectors.T, (0.7, 1.3, 0.4, 1.0)
    found = chain_of_arcs(torch.from_numpy(gram), torch.tensor(positions, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), self_positions(gram, positions), atol=1e-12)


def test_progress_is_told_of_parents_and_steps(order: LearningOrder) -> None:
    reported: list[tuple[str, int, int]] = []
    learn(order, lambda *said: reported.append(said))
    assert reported[:2] == [("reading", 1, 2), ("reading", 2, 2)]
    assert reported[-1] == ("learning", 6, 6)
