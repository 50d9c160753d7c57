"""Methods that are weighted sums given some inner products: against the formulas written out, and at
their edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.catalogue.methods import METHODS
from tests.workers.merging.extra_cases import WholeMerge, common_inputs, expected_of, parameters_of
from workers.errors import MergeError
from workers.merging.arithmetic.mixtures import gram_of, inner_products, mixture_weights, scalars_of
from workers.merging.methods import KERNELS, MIXTURES, Ingredients
from workers.merging.methods.karcher import karcher_mean

Value = float | str | Sequence[float]

SHAPE = (6, 5)
SELF_POSITIONING = "self_positioning_derived"


def draw(seed: int, shape: Sequence[int] = SHAPE) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def mixed(
    method: str,
    parents: Sequence[Tensor],
    base: Tensor | None = None,
    **values: float | str | Sequence[float],
) -> Ingredients:
    """Ingredients with the method's defaults where nothing is said; weights are 1."""
    per_parent: dict[str, tuple[float, ...]] = {}
    shared: dict[str, float] = {}
    choices: dict[str, str] = {}
    for parameter in METHODS[method].parameters:
        value = values.get(parameter.name, 1.0 if parameter.default is None else parameter.default)
        if parameter.kind == "choice":
            choices[parameter.name] = value if isinstance(value, str) else parameter.choices[0]
        elif parameter.scope == "shared":
            shared[parameter.name] = float(str(value))
        else:
            numbers = [value] * len(parents) if isinstance(value, int | float) else value
            per_parent[parameter.name] = tuple(float(str(number)) for number in numbers)
    return Ingredients(tuple(parents), base, per_parent, shared, choices=choices)


def merge(
    method: str,
    parents: Sequence[Tensor],
    base: Tensor | None = None,
    **values: float | str | Sequence[float],
) -> Tensor:
    return KERNELS[method](mixed(method, parents, base, **values))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-6)


def test_a_mixtures_weights_give_its_kernels_tensor() -> None:
    """What the fast passes rely on: the weights from the inner products are all there is to it."""
    parents, base = [draw(1), draw(2)], draw(0)
    for name, mixture in MIXTURES.items():
        method = METHODS[name]
        own_base = base if (method.needs_base or method.takes_base) and not method.base_is_a_parent else None
        ingredients = mixed(name, parents, own_base)
        if name == "self_positioning":
            findings = inner_products(parents, base)
            ingredients = Ingredients(
                ingredients.parents, base, ingredients.per_parent, ingredients.shared, findings=findings
            )
        assert mixture.applies(ingredients.choices, ingredients.shared)
        weights = mixture_weights(mixture, scalars_of(ingredients, gram_of(mixture, ingredients)))
        inputs = parents if own_base is None else [*parents, own_base]
        expected = torch.zeros(SHAPE, dtype=torch.float64)
        for weight, tensor in zip(weights, inputs, strict=True):
            expected += weight * tensor.double()
        close(KERNELS[name](ingredients).double(), expected)


def test_row_by_row_they_are_no_mixtures() -> None:
    for name, word in (("nuslerp", "row"), ("nuslerp", "column"), ("model_stock", "row")):
        ingredients = mixed(name, [draw(1), draw(2)], draw(0), granularity=word)
        assert not MIXTURES[name].applies(ingredients.choices, ingredients.shared)
    assert not MIXTURES["model_stock"].applies({"granularity": "tensor"}, {"filter_wise": 1.0})


def test_inner_products_are_exact_to_the_last_digits_of_float64() -> None:
    vectors, origin = [draw(seed, (700, 800)) for seed in (1, 2, 3)], draw(0, (700, 800))
    found = inner_products(vectors, origin)
    stacked = torch.stack([(v.double() - origin.double()).flatten() for v in vectors])
    np.testing.assert_allclose(found, (stacked @ stacked.T).numpy(), rtol=1e-12)
    assert (found == found.T).all()


@pytest.mark.parametrize("name", sorted(MIXTURES))
def test_a_broken_number_never_becomes_a_weight(name: str) -> None:
    broken = draw(1)
    broken[0, 0] = math.inf
    ingredients = mixed(name, [broken, draw(2)], draw(0))
    findings = inner_products([broken, draw(2)], draw(0))
    ingredients = Ingredients(
        ingredients.parents, ingredients.base, ingredients.per_parent, ingredients.shared, findings=findings
    )
    assert not bool(KERNELS[name](ingredients).isfinite().all())


# nuslerp


def test_the_granularities_of_nuslerp_are_mergekits_switches() -> None:
    parents, base = [draw(1), draw(2)], draw(0)
    row = merge("nuslerp", parents, base, granularity="row")
    column = merge("nuslerp", parents, base, granularity="column")
    assert torch.equal(row, merge("nuslerp", parents, base, nuslerp_flatten=0.0))
    assert torch.equal(column, merge("nuslerp", parents, base, nuslerp_flatten=0.0, nuslerp_row_wise=1.0))
    whole = merge("nuslerp", parents, base)
    assert not torch.equal(row, column)
    assert not torch.equal(row, whole)


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_every_row_of_nuslerp_is_an_arc_of_its_own(granularity: str) -> None:
    first, second = draw(1, (1, 7)), draw(2, (1, 7))
    with_one_row = merge("nuslerp", [first, second], granularity=granularity, weight=(0.3, 0.7))
    close(merge("nuslerp", [first, second], weight=(0.3, 0.7)), with_one_row)
    columns = merge("nuslerp", [first.T, second.T], granularity="column", weight=(0.3, 0.7))
    close(columns, with_one_row.T)


@pytest.mark.parametrize("granularity", ["tensor", "row", "column"])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (2, 3, 4), (2, 3, 2, 2), (0, 4), (0,), ()])
def test_nuslerp_takes_tensors_of_any_shape(granularity: str, shape: tuple[int, ...]) -> None:
    parents, base = [draw(1, shape), draw(2, shape)], draw(0, shape)
    merged = merge("nuslerp", parents, base, granularity=granularity)
    assert merged.shape == shape
    assert bool(merged.isfinite().all())


@pytest.mark.parametrize("granularity", ["tensor", "row", "column"])
def test_nuslerp_of_vectors_without_a_direction_between_them_is_a_number(granularity: str) -> None:
    vector, nothing = draw(1), torch.zeros(SHAPE)
    for first, second in [(vector, -vector), (vector, vector * 3), (nothing, vector), (nothing, nothing)]:
        merged = merge("nuslerp", [first, second], granularity=granularity)
        assert bool(merged.isfinite().all())
    same = merge("nuslerp", [vector, vector], draw(0), granularity=granularity, weight=(0.2, 0.8))
    close(same, vector)


def test_nuslerp_with_weights_that_cancel_is_the_middle_as_in_mergekit() -> None:
    parents = [draw(1), draw(2)]
    assert torch.equal(merge("nuslerp", parents, weight=(0.5, -0.5)), merge("nuslerp", parents))


# multislerp


def test_multislerp_of_an_untouched_tensor_is_the_base() -> None:
    """mergekit ends the whole merge with an error."""
    base = draw(0)
    assert torch.equal(merge("multislerp", [base.clone() for _ in range(3)], base), base)


def test_multislerp_of_one_model_is_that_model() -> None:
    close(merge("multislerp", [draw(1)], draw(0), weight=(0.3,)), draw(1))
    assert torch.equal(merge("multislerp", [draw(1)], weight=(0.3,)), draw(1))


def test_multislerp_of_two_opposite_models_is_the_straight_line() -> None:
    close(merge("multislerp", [draw(1), -draw(1)]), torch.zeros(SHAPE))
    close(merge("multislerp", [draw(1), -3 * draw(1)]), -draw(1))


def test_multislerp_of_more_models_that_cancel_is_the_straight_average_too() -> None:
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([-0.5, math.sqrt(0.75)])
    third = 2.0 * (-first - second)
    close(merge("multislerp", [first, second, third]), (first + second + third) / 3)


def test_multislerp_names_its_own_switch_when_weights_cancel() -> None:
    with pytest.raises(MergeError, match="write normalize_weights: false"):
        merge("multislerp", [draw(1), draw(2)], weight=(0.5, -0.5))


# karcher


def test_the_karcher_mean_of_two_unit_vectors_is_halfway_on_the_arc() -> None:
    merged = merge("karcher", [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])])
    close(merged, torch.tensor([math.sqrt(0.5), math.sqrt(0.5)]))


def test_weights_pull_the_karcher_mean_along_the_arc() -> None:
    merged = merge("karcher", [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])], weight=(2.0, 1.0))
    close(merged, torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)]))


def test_at_the_karcher_mean_all_pulls_cancel() -> None:
    vectors = [draw(seed).flatten().double() for seed in range(4)]
    unit = torch.stack([v / v.norm() for v in vectors])
    pulls = np.full(4, 0.25)
    centre = unit.T @ torch.from_numpy(karcher_mean((unit @ unit.T).numpy(), pulls, steps=50, tolerance=1e-9))
    assert float(centre.norm()) == pytest.approx(1.0, abs=1e-12)
    cosines = unit @ centre
    angles = cosines.arccos()
    pull = ((angles / angles.sin())[:, None] * (unit - cosines[:, None] * centre)).sum(dim=0)
    assert float(pull.norm()) < 1e-7


def test_zero_vectors_only_shorten_the_karcher_mean() -> None:
    vector, nothing = draw(1), torch.zeros(SHAPE)
    close(merge("karcher", [vector, nothing]), vector / 2)
    assert torch.equal(merge("karcher", [nothing, nothing]), nothing)


def test_short_vectors_have_a_direction_too() -> None:
    """mergekit gives zeros for tensors that are shorter than tol."""
    vectors = [draw(1), draw(2)]
    small = merge("karcher", [vector * 2.0**-40 for vector in vectors])
    close(small * 2.0**40, merge("karcher", vectors))


def test_opposite_vectors_give_a_karcher_mean_of_finite_numbers() -> None:
    merged = merge("karcher", [draw(1), -draw(1)])
    assert bool(merged.isfinite().all())
    close(merged, draw(1))


def test_karcher_weights_of_zero_are_refused() -> None:
    with pytest.raises(MergeError, match="sum to 0"):
        merge("karcher", [draw(1), draw(2)], weight=(0.0, 0.0))


# model_stock


def stock(parents: Sequence[Tensor], base: Tensor) -> tuple[float, Tensor]:
    """Model Stock by its formula, over one vector; returns t and the result."""
    deltas = [(parent - base).flatten().double() for parent in parents]
    count = len(deltas)
    cosines = [
        float(deltas[i] @ deltas[j] / deltas[i].norm() / deltas[j].norm())
        for i in range(count)
        for j in range(i)
    ]
    cosine = sum(cosines) / len(cosines)
    t = count * cosine / (1 + (count - 1) * cosine)
    mean = torch.stack([parent.double() for parent in parents]).mean(dim=0)
    return t, t * mean + (1 - t) * base.double()


def near(seed: int, shape: Sequence[int] = SHAPE) -> list[Tensor]:
    """Three parents that have moved in much the same direction from the base."""
    common = draw(seed, shape)
    return [draw(0, shape) + common + 0.5 * draw(seed + k, shape) for k in (1, 2, 3)]


@pytest.mark.parametrize("count", [2, 3])
def test_model_stock_follows_its_formula(count: int) -> None:
    parents = near(10)[:count]
    close(merge("model_stock", parents, draw(0)).double(), stock(parents, draw(0))[1])


def test_every_row_of_model_stock_has_an_angle_of_its_own() -> None:
    parents, base = near(10), draw(0)
    merged = merge("model_stock", parents, base, granularity="row")
    for row in range(SHAPE[0]):
        close(merged[row].double(), stock([parent[row] for parent in parents], base[row])[1])
    assert torch.equal(merged, merge("model_stock", parents, base, filter_wise=1.0))
    vectors = near(20, (9,))
    close(
        merge("model_stock", vectors, draw(0, (9,)), granularity="row"),
        merge("model_stock", vectors, draw(0, (9,))),
    )


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_a_clamped_model_stock_stays_between_base_and_average(granularity: str) -> None:
    base, delta = draw(0), draw(1)
    parents = [base + delta, base - 0.5 * delta + 0.3 * draw(2)]
    beyond = merge("model_stock", parents, base, granularity=granularity)
    kept = merge("model_stock", parents, base, granularity=granularity, clamp=1.0)
    assert not torch.allclose(beyond, base)
    assert torch.equal(kept[0], base[0])


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_model_stock_of_untouched_or_opposite_parents_is_the_base(granularity: str) -> None:
    base, delta = draw(0), draw(1)
    for parents in ([base, base], [base + delta, base], [base + delta, base - delta]):
        close(merge("model_stock", parents, base, granularity=granularity), base)


def test_model_stock_sees_the_angle_of_task_vectors_of_any_length() -> None:
    """mergekit divides by at least 1e-6, so that short task vectors look orthogonal."""
    deltas = [draw(1) + draw(3), draw(2) + draw(3)]
    base = torch.zeros(SHAPE)
    scale = 2.0**-20
    small = merge("model_stock", [delta * scale for delta in deltas], base)
    close(small / scale, merge("model_stock", deltas, base))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (2, 3, 4), (0, 4), ()])
@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_model_stock_takes_tensors_of_any_shape(granularity: str, shape: tuple[int, ...]) -> None:
    parents, base = [draw(1, shape), draw(2, shape), draw(3, shape)], draw(0, shape)
    merged = merge("model_stock", parents, base, granularity=granularity, clamp=1.0)
    assert merged.shape == shape
    assert bool(merged.isfinite().all())


# self_positioning


@pytest.mark.parametrize("case", parameters_of(SELF_POSITIONING)["cases"], ids=lambda case: str(case["case"]))
def test_self_positioning_measures_the_angles_of_whole_models(case: dict[str, Any]) -> None:
    parents = [common_inputs(f"model_{letter}") for letter in "abc"]
    values: dict[str, Any] = {"position": case["a"], "lambda": case["lam"]}
    merged = WholeMerge("self_positioning", parents, common_inputs("base"), **values).merged()
    expected = expected_of(SELF_POSITIONING, str(case["case"]))
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(merged[name], tensor, atol=1e-6, rtol=0.0)


def test_self_positioning_of_one_parent_is_its_task_vector() -> None:
    base, parent = {"a": draw(0)}, {"a": draw(1)}
    half: dict[str, Any] = {"lambda": 0.5}
    merged = WholeMerge("self_positioning", [parent], base, **half).merged()
    close(merged["a"], (draw(0) + draw(1)) / 2)


def test_self_positioning_survives_parents_without_task_vectors() -> None:
    base = {"a": draw(0)}
    merged = WholeMerge("self_positioning", [base, base, base], base).merged()
    assert torch.equal(merged["a"], base["a"])


def test_positions_that_are_all_zero_are_refused() -> None:
    base = {"a": draw(0)}
    with pytest.raises(MergeError, match="give one of them more than 0"):
        WholeMerge("self_positioning", [{"a": draw(1)}, {"a": draw(2)}], base, position=(0.0, 0.0)).merged()
