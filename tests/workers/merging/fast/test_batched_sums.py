"""From its second candidate on a live model adds small tensors up together; what comes out stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.settings import constant
from tests.tiny_models import save_tiny_model
from tests.workers.runtime.test_live_model import Bench
from workers.errors import MergeError
from workers.merging.fast.caches import Caches
from workers.runtime.live_model import LiveModel


class Remembering(Bench):
    """A live model that remembers what it found, as a worker's does."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.live = LiveModel(self.layouts[recipe.tokenizer_owner], caches=Caches(1 << 24))


@pytest.fixture
def parents(tmp_path: Path) -> list[Path]:
    return [save_tiny_model(tmp_path / str(n), n, dtype=torch.bfloat16) for n in range(3)]


def mixed(method: str, parents: list[Path], weights: tuple[float, ...]) -> Recipe:
    models = [
        {"model": str(folder), "parameters": {"weight": weight}}
        for folder, weight in zip(parents[: 2 if method == "nuslerp" else 3], weights, strict=False)
    ]
    content: dict[str, object] = {"merge_method": method, "models": models, "dtype": "bfloat16"}
    if method == "slerp":
        content["models"] = [{"model": str(folder)} for folder in parents[:2]]
        content |= {"base_model": str(parents[0]), "parameters": {"t": weights[0]}}
    return read_recipe(yaml.safe_dump(content))


def weights_of(bench: Bench, recipe: Recipe) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in bench.model(recipe).state_dict().items()}


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ("linear", (0.3, 0.5, 0.7)),
        ("linear", (0.0, 0.6, -0.2)),
        ("linear", (0.0, 0.0, 1.3)),
        ("slerp", (0.4,)),
        ("nuslerp", (0.4, 0.9)),
        ("multislerp", (0.4, 0.9, 0.2)),
    ],
)
def test_a_later_candidate_is_what_it_would_be_as_the_first(
    method: str, weights: tuple[float, ...], parents: list[Path]
) -> None:
    first, second = mixed(method, parents, (0.9, 0.3, 0.1)), mixed(method, parents, weights)
    bench = Remembering(first)
    bench.model(first)
    assert not bench.live.together
    later, alone = weights_of(bench, second), weights_of(Remembering(second), second)
    assert bench.live.together == bench.live.made > 0
    assert all(torch.equal(later[name], alone[name]) for name in alone)


def test_a_later_candidate_that_overflows_is_refused_by_name_and_does_not_stay(parents: list[Path]) -> None:
    fair, huge = mixed("linear", parents, (0.5, 0.2, 0.3)), mixed("linear", parents, (3e38, -1e38, 2e38))
    huge = huge.model_copy(update={"parameters": {**fair.parameters, "normalize": constant(0.0)}})
    bench = Remembering(fair)
    before = weights_of(bench, fair)
    bench.model(mixed("linear", parents, (0.1, 0.2, 0.3)))
    with pytest.raises(MergeError, match="overflow bfloat16"):
        bench.model(huge)
    after = weights_of(bench, fair)
    assert all(torch.equal(before[name], after[name]) for name in before)
