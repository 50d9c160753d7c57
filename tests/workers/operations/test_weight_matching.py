from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.workers.operations.golden_tensors import golden
from workers.errors import MismatchError
from workers.operations.weight_matching import Group, match_weights, objective, permute

CASE = "weight_matching"
ONE: list[Group] = [(("layers.0.bias", 0), ("layers.0.weight", 0), ("layers.1.weight", 1))]
THREE: list[Group] = [
    ((f"layers.{n}.bias", 0), (f"layers.{n}.weight", 0), (f"layers.{n + 1}.weight", 1)) for n in range(3)
]
GATED: list[Group] = [(("mlp.gate_proj.weight", 0), ("mlp.up_proj.weight", 0), ("mlp.down_proj.weight", 1))]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def aligned(
    second: Mapping[str, Tensor], groups: Sequence[Group], found: Sequence[Tensor]
) -> dict[str, Tensor]:
    result = dict(second)
    for group, permutation in zip(groups, found, strict=True):
        result = permute(result, group, permutation)
    return result


@pytest.mark.parametrize(
    ("name", "groups"), [("mlp1_random", ONE), ("swiglu_random", GATED), ("mlp3_recover", THREE)]
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_the_answer_is_unique_it_is_the_references(name: str, groups: list[Group], seed: int) -> None:
    first, second = (golden(CASE, "inputs", f"{name}_{side}") for side in "ab")
    found = match_weights(first, second, groups, rng(seed))
    expected = golden(CASE, "expected", f"{name}_perm")
    assert [p.tolist() for p in found.permutations] == [p.tolist() for p in expected.values()]
    result = aligned(second, groups, found.permutations)
    for tensor, value in golden(CASE, "expected", f"{name}_b_aligned").items():
        assert torch.equal(result[tensor], value)
    assert found.objective == pytest.approx(objective(first, result))


@pytest.mark.parametrize("seed", range(5))
def test_a_local_optimum_is_about_as_good_as_the_references(seed: int) -> None:
    first, second = (golden(CASE, "inputs", f"mlp3_random_pleas_seed0_{side}") for side in "ab")
    expected = objective(first, golden(CASE, "expected", "mlp3_random_pleas_seed0_b_aligned"))
    found = match_weights(first, second, THREE, rng(seed))
    assert found.objective >= expected - 1e-6
    assert found.objective > objective(first, second)


def test_no_single_group_can_be_improved_any_more() -> None:
    first, second = (golden(CASE, "inputs", f"mlp3_random_pleas_seed0_{side}") for side in "ab")
    found = match_weights(first, second, THREE, rng(3))
    settled = aligned(second, THREE, found.permutations)
    for group in THREE:
        again = match_weights(first, settled, [group], rng())
        assert again.objective == pytest.approx(found.objective, abs=1e-9)


def test_equal_seeds_give_equal_permutations() -> None:
    first, second = (golden(CASE, "inputs", f"mlp3_random_pleas_seed0_{side}") for side in "ab")
    one, other = (match_weights(first, second, THREE, rng(7)) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(one.permutations, other.permutations, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_a_network_matches_itself_as_it_is(seed: int) -> None:
    first = golden(CASE, "inputs", "mlp3_recover_a")
    found = match_weights(first, first, THREE, rng(seed))
    assert all(torch.equal(p, torch.arange(len(p))) for p in found.permutations)


def test_units_that_cannot_be_told_apart_stay_where_they_are() -> None:
    zeros = {"w": torch.zeros(5, 3)}
    found = match_weights(zeros, zeros, [(("w", 0),)], rng())
    assert found.permutations[0].tolist() == [0, 1, 2, 3, 4]
    assert found.objective == 0.0


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (0, 4), (3, 2, 5), (2, 3, 2, 2)])
def test_tensors_of_any_shape_are_matched(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    first = {"w": torch.randn(shape, generator=generator), "b": torch.randn(shape[0], generator=generator)}
    group: Group = (("w", 0), ("b", 0))
    order = torch.randperm(shape[0], generator=generator)
    found = match_weights(first, permute(first, group, order), [group], rng())
    assert torch.equal(order[found.permutations[0]], torch.arange(shape[0]))


def test_sixteen_bit_weights_are_matched_as_exactly_as_wide_ones() -> None:
    first, second = (golden(CASE, "inputs", f"mlp1_random_{side}") for side in "ab")
    half = [{name: t.bfloat16() for name, t in side.items()} for side in (first, second)]
    wide = [{name: t.double() for name, t in side.items()} for side in half]
    narrow, exact = (match_weights(pair[0], pair[1], ONE, rng()) for pair in (half, wide))
    assert torch.equal(narrow.permutations[0], exact.permutations[0])


def test_what_does_not_fit_together_is_refused_by_name() -> None:
    first = {"w": torch.ones(3, 2), "v": torch.ones(2, 3)}
    with pytest.raises(MismatchError, match=r"w: has shapes \(3, 2\) and \(2, 2\)"):
        match_weights(first, first | {"w": torch.ones(2, 2)}, [], rng())
    with pytest.raises(MismatchError, match="different lengths"):
        match_weights(first, first, [(("w", 0), ("v", 0))], rng())
    with pytest.raises(MismatchError, match="no axis 2"):
        match_weights(first, first, [(("w", 2),)], rng())
    with pytest.raises(MismatchError, match="has no axes"):
        match_weights(first, first, [()], rng())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(MismatchError, match="NaN or infinity"):
        match_weights(
            {"w": torch.ones(2, 2)}, {"w": torch.tensor([[1.0, bad], [0.0, 1.0]])}, [(("w", 0),)], rng()
        )
