"""CycleQD's operators as a merge method: against its own code, and at their limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from tests.workers.merging.extra_cases import common_inputs, expected_of, inputs_of, parameters_of
from tests.workers.merging.golden_cases import furthest
from tests.workers.merging.kernel_contract import draw
from workers.checkpoints.architecture.configuration import merged_config
from workers.compatibility.loaded_parents import load_parents
from workers.errors import MergeError
from workers.export.merge_to_disk import merge_to_disk
from workers.merging.arithmetic.singular_vectors import singular_vectors
from workers.merging.fast.caches import Caches
from workers.merging.kernel import Ingredients
from workers.merging.methods.svd_scaling import raised, svd_scaling, uniform
from workers.merging.plan import plan_merge
from workers.protocol.messages import ExportOrder
from workers.runtime.live_model import LiveModel
from workers.runtime.resident_parents import ResidentParents

GOLDEN = "cycleqd_operators"
CASES = {case["case"].split()[0]: case for case in parameters_of(GOLDEN)["cases"]}
NAME = "model.layers.0.mlp.up_proj.weight"


def mix(
    parents: Sequence[Tensor],
    base: Tensor,
    weights: Sequence[float],
    rates: Sequence[float],
    *,
    seeds: Sequence[float] = (0, 0),
    name: str = NAME,
    exclude_embeddings: float = 1.0,
) -> Ingredients:
    numbers = {"weight": tuple(weights), "svd_rate": tuple(rates), "svd_seed": tuple(map(float, seeds))}
    shared = {"exclude_embeddings": exclude_embeddings, "split_fused": 1.0}
    return Ingredients(tuple(parents), base, numbers, shared, seeds=(7, 8)[: len(parents)], name=name)


def test_crossover_is_what_cycleqd_gives_where_weights_are_divided_by_their_sum() -> None:
    weights = CASES["crossover_ab"]["weights"]
    for name, expected in expected_of(GOLDEN, "crossover_ab").items():
        parents = [common_inputs(f"model_{letter}")[name] for letter in "ab"]
        shares = [weight / sum(weights) for weight in weights]
        merged = svd_scaling(mix(parents, common_inputs("base")[name], shares, (0.0, 0.0), name=name))
        assert furthest(merged, expected) <= 1e-5, name


def test_mutation_is_what_cycleqd_gives_from_the_same_random_numbers() -> None:
    drawn, rate = inputs_of(GOLDEN, "svd_scales"), CASES["svd_mutation"]["mutation_rate"]
    before = expected_of(GOLDEN, "crossover_ab")
    for name, expected in expected_of(GOLDEN, "svd_mutation").items():
        found = singular_vectors((common_inputs("model_a")[name] - common_inputs("base")[name]).double())
        step = raised(found, drawn[name].double())
        assert furthest(before[name] + rate * step, expected) <= 1e-5, name


def test_the_kernel_adds_the_mutation_to_the_sum() -> None:
    base, left, right = draw(1), draw(2), draw(3)
    mixed = mix([left, right], base, (0.5, -0.25), (0.0, 0.3), seeds=(0, 5))
    found = singular_vectors((right - base).double())
    step = svd_scaling(mixed) - (base + 0.5 * (left - base) - 0.25 * (right - base))
    shares = found.u.T @ step.double() @ found.v / found.s / 0.3
    diagonal = shares.diagonal()
    assert furthest(shares, torch.diag(diagonal)) <= 1e-4
    assert 0.0 <= float(diagonal.min()) < float(diagonal.max()) < 1.0


def test_equal_seeds_give_equal_children_and_others_others() -> None:
    base, parent = draw(1), draw(2)

    def child(**changes: object) -> Tensor:
        given: dict[str, object] = {"seeds": (3,), **changes}
        return svd_scaling(mix([parent], base, (1.0,), (0.5,), **given))  # type: ignore[arg-type]

    assert torch.equal(child(), child())
    assert not torch.equal(child(), child(seeds=(4,)))
    assert not torch.equal(child(), child(seeds=(0,)))


def test_random_numbers_are_uniform() -> None:
    drawn = uniform(123, 20_000, torch.device("cpu"))
    assert float(drawn.min()) >= 0.0
    assert float(drawn.max()) < 1.0
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(drawn.var()) == pytest.approx(1 / 12, abs=0.002)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.norm.weight", (16,)),
        ("model.embed_tokens.weight", (8, 4)),
        ("model.layers.0.experts", (3, 4, 5)),
        ("model.layers.0.empty", (0, 4)),
    ],
)
def test_what_is_no_matrix_of_features_is_summed_alone(name: str, shape: tuple[int, ...]) -> None:
    base, parent = draw(1, shape=shape), draw(2, shape=shape)
    merged = svd_scaling(mix([parent], base, (0.5,), (1.0,), name=name))
    torch.testing.assert_close(merged, base + 0.5 * (parent - base))


def test_a_parent_that_is_the_base_adds_nothing() -> None:
    base = draw(1)
    assert torch.equal(svd_scaling(mix([base.clone()] * 2, base, (1.0, 0.5), (1.0, 1.0))), base)


def test_fused_matrices_are_raised_each_for_itself() -> None:
    name = "model.layers.0.mlp.gate_up_proj.weight"
    base, parent = draw(1, shape=(12, 5)), draw(2, shape=(12, 5))
    step = svd_scaling(mix([parent], base, (0.0,), (1.0,), name=name)) - base
    for half, delta in zip(step.chunk(2), (parent - base).chunk(2), strict=True):
        found = singular_vectors(delta.double())
        assert (
            furthest(raised(found, (found.u.T @ half.double() @ found.v).diagonal() / found.s), half) <= 1e-5
        )


def test_a_broken_parent_shows_also_where_only_its_singular_values_count() -> None:
    base, parent = draw(1), draw(2)
    parent[0, 0] = math.nan
    assert bool(torch.isnan(svd_scaling(mix([parent], base, (0.0,), (1.0,)))).any())


def test_a_seed_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(MergeError, match="no whole number"):
        svd_scaling(mix([draw(1)], draw(2), (1.0,), (0.5,), seeds=(0.5,)))


def child_of(parents: dict[str, Path], seed: int) -> Recipe:
    return read_recipe(
        f"merge_method: svd_scaling\nbase_model: {parents['base']}\nmodels:\n"
        f"- {{model: {parents['left']}, parameters: {{weight: 0.6, svd_rate: 0.2, svd_seed: {seed}}}}}\n"
        f"- {{model: {parents['right']}, parameters: {{weight: 0.4}}}}\n"
    )


def test_a_recipe_holds_rate_and_seed_of_every_parent(tiny_parents: dict[str, Path]) -> None:
    recipe = child_of(tiny_parents, 4711)
    assert read_recipe(write_recipe(recipe)).digest == recipe.digest != child_of(tiny_parents, 4712).digest


@pytest.mark.slow
def test_children_in_memory_are_those_on_disk_and_factors_are_made_once(
    tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    recipe = child_of(tiny_parents, 1)
    layouts, caches = load_parents(recipe), Caches(2**26)
    live = LiveModel(layouts[recipe.tokenizer_owner], caches=caches)
    sources = ResidentParents(layouts).sources
    used = []
    for seed in (1, 2):
        recipe = child_of(tiny_parents, seed)
        plan = plan_merge(recipe, layouts)
        model = live.overwrite(merged_config(plan.owner, recipe, layouts), plan, sources)
        merge_to_disk(ExportOrder(recipe, str(tmp_path / str(seed))))
        for name, tensor in load_file(tmp_path / str(seed) / "model.safetensors").items():
            torch.testing.assert_close(model.state_dict()[name], tensor, rtol=0, atol=1e-6)
        used.append(caches.used)
    assert used[0] == used[1] > 0
