"""Parents that are equal, opposite or nearly so: every method stays near its parents, on every way.

A method is tested by being in the table.  In small formats rounding makes "equal" and "opposite" only
nearly so, which is where formulas on angles divide by what rounding left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.workers.merging.kernel_contract import Variant, draw, ingredients, merged, plan_of, variants
from workers.merging.degenerate import LARGEST_SHARE
from workers.merging.fast.applicable import is_summed
from workers.merging.fast.backends.numba_backend import merge_with_numba
from workers.merging.fast.backends.numpy_backend import merge_with_numpy
from workers.merging.fast.backends.torch_backend import merge_with_torch
from workers.merging.fast.caches import Caches
from workers.merging.fast.threads import one_by_one
from workers.merging.methods import KERNELS, Ingredients

VARIANTS = {str(variant): variant for variant in variants()}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
RELATIONS = {
    "equal": (1.0, 1.0, 1.0),
    "opposite": (1.0, -1.0),
    "opposite, of unlike length": (1.0, -3.0),
    "two against one": (1.0, -0.5, -0.5),
}
NOISES = (0.0, 1e-7, 3e-2)  # relative to a task vector
_FIRST = draw(0)
SUMS = {
    name: variant
    for name, variant in VARIANTS.items()
    if is_summed(plan_of(ingredients(variant, [_FIRST, _FIRST, _FIRST], _FIRST), variant))
}


def _related(factors: tuple[float, ...], noise: float, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """Returns a base and parents whose task vectors are these multiples of one vector."""
    base, delta = draw(1, dtype), draw(2) / 64
    deltas = [f * delta * (1.0 + noise * draw(3 + i)) for i, f in enumerate(factors)]
    return base, [(base.float() + each).to(dtype) for each in deltas]


def _cases(dtypes: tuple[torch.dtype, ...] = DTYPES) -> Iterator[tuple[str, Tensor, list[Tensor]]]:
    for dtype in dtypes:
        for relation, factors in RELATIONS.items():
            for noise in NOISES:
                yield f"{relation} + {noise:g} in {dtype}", *_related(factors, noise, dtype)
                # Without a base it is the parents themselves that cancel.
                _, around_zero = _related(factors, noise, torch.float32)
                zero = torch.zeros_like(_FIRST).to(dtype)
                shifted = [(each - draw(1)).to(dtype) for each in around_zero]
                yield f"{relation} + {noise:g} in {dtype} around zero", zero, shifted


def _mixed(variant: Variant, parents: list[Tensor], base: Tensor) -> Ingredients:
    """Returns the ingredients, with the base wherever the method can use one."""
    mixed = ingredients(variant, parents, base)
    return replace(mixed, base=base) if variant.method.takes_base else mixed


def _bound(mixed: Ingredients, base: Tensor) -> float:
    """Returns the stated multiple: 32 times the largest entry per parent, around the base."""
    largest = max(float(tensor.float().abs().max()) for tensor in (*mixed.parents, base))
    return (LARGEST_SHARE * len(mixed.parents) + 1.0) * largest


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_no_method_leaves_the_neighbourhood_of_its_parents(name: str) -> None:
    for case, base, parents in _cases():
        mixed = _mixed(VARIANTS[name], parents, base)
        result = KERNELS[VARIANTS[name].name](mixed)
        assert bool(torch.isfinite(result).all()), case
        assert float(result.abs().max()) <= _bound(mixed, base), case


AROUND_A_BASE = [n for n, v in VARIANTS.items() if v.on_task_vectors or v.method.takes_base]


@pytest.mark.parametrize("name", AROUND_A_BASE)
def test_task_vectors_that_cancel_move_the_base_by_no_more_than_they_are(name: str) -> None:
    for case, base, parents in _cases((torch.float32,)):
        merged = KERNELS[VARIANTS[name].name](_mixed(VARIANTS[name], parents, base))
        moved = (merged - base).abs().max()
        largest = max(float((parent - base).abs().max()) for parent in parents)
        assert float(moved) <= LARGEST_SHARE * len(parents) * largest + 1e-6, case


@pytest.mark.parametrize("name", sorted(SUMS))
def test_all_ways_agree_where_parents_nearly_cancel(name: str) -> None:
    variant = SUMS[name]
    for case, base, parents in _cases((torch.float32, torch.bfloat16)):
        mixed = _mixed(variant, parents, base)
        plan = plan_of(mixed, variant)
        expected = KERNELS[variant.name](mixed)
        plain, loops, whole = (torch.empty(expected.shape) for _ in range(3))
        merge_with_numpy(variant.name, mixed, plain)
        merge_with_numba(plan, mixed, loops, None, one_by_one)
        made = merge_with_torch(plan, mixed, whole, Caches(1 << 20))
        for found in (plain, loops) if made is None else (plain, loops, whole):
            torch.testing.assert_close(found, expected.float(), atol=1e-4, rtol=1e-4, msg=case)


@given(
    degrees=st.floats(170.0, 180.0),
    length=st.floats(1e-3, 1e3),
    share=st.floats(0.01, 0.99),
)
@settings(max_examples=60, deadline=None)
def test_arcs_stay_in_bounds_at_every_angle_up_to_180_degrees(
    degrees: float, length: float, share: float
) -> None:
    first, across = torch.zeros(8, dtype=torch.float64), torch.zeros(8, dtype=torch.float64)
    first[0], across[1] = 1.0, 1.0
    angle = math.radians(degrees)
    second = length * (math.cos(angle) * first + math.sin(angle) * across)
    base = torch.zeros_like(first)
    for name in ("slerp", "nuslerp", "multislerp", "karcher", "model_stock", "self_positioning"):
        found = merged(name, [first, second], base, (1.0 - share, share), t=share)
        assert float(found.abs().max()) <= 2 * LARGEST_SHARE * max(1.0, length), name


@pytest.mark.parametrize("name", ["nuslerp", "self_positioning"])
def test_opposite_task_vectors_of_unlike_length_take_the_straight_line(name: str) -> None:
    base, delta = draw(1), draw(2) / 64
    found = KERNELS[name](_mixed(Variant(name), [base + delta, base - 3 * delta], base))
    torch.testing.assert_close(found, base - delta, atol=1e-6, rtol=0)


@pytest.mark.parametrize("granularity", ["tensor", "row", "column"])
def test_nuslerp_follows_the_arc_up_to_178_degrees(granularity: str) -> None:
    """In float64, against the formula; a little further it takes the line."""
    for degrees, straight in ((178.0, False), (178.5, True)):
        angle = math.radians(degrees)
        second = (math.cos(angle), math.sin(angle))
        ends = [torch.tensor([end], dtype=torch.float64) for end in ((1.0, 0.0), second)]
        if granularity == "column":
            ends = [end.T for end in ends]
        found = merged("nuslerp", ends, torch.zeros_like(ends[0]), (0.5, 0.5), granularity=granularity)
        share = 0.5 if straight else math.sin(angle / 2) / math.sin(angle)
        torch.testing.assert_close(found, share * (ends[0] + ends[1]))


@pytest.mark.parametrize("count", [2, 3, 5, 7])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sce_finds_no_variance_where_all_parents_are_equal(count: int, dtype: torch.dtype) -> None:
    """Half of 1,000 entries are equal in all parents: only the others can be selected."""
    base = draw(1, dtype, (1000,))
    tuned = (base.float() + draw(2, shape=(1000,)) / 32).to(dtype)
    parents = [tuned.clone() for _ in range(count)]
    parents[-1][:500] += 0.5
    found = merged("sce", parents, base, select_topk=0.999)
    assert torch.equal(found[500:], base[500:].float())
    alike = merged("sce", [tuned] * count, base, select_topk=0.5)
    assert torch.equal(alike, base.float())


IDLE = {name: variant for name, variant in VARIANTS.items() if variant.method.unchanged_is_idle}
_NOT_IDLE = {"normalize": 1.0, "granularity": "global"}


@pytest.mark.parametrize("name", sorted(IDLE))
def test_a_parents_parameters_do_nothing_where_it_equals_the_base_if_that_is_declared(name: str) -> None:
    base, variant = draw(0), IDLE[name]
    quiet = {n: v for n, v in variant.values.items() if v != _NOT_IDLE.get(n)}
    if variant.has("weight") and any(p.name == "normalize" for p in variant.method.parameters):
        quiet["normalize"] = 0.0
    parents = [base + draw(1), base + 0.1 * draw(2), base.clone()]
    mixed = ingredients(Variant(variant.name, quiet), parents, base)
    expected = KERNELS[variant.name](mixed)
    for parameter in (p for p in variant.method.parameters if p.name in mixed.per_parent):
        for value in (parameter.low, (parameter.low + parameter.high) / 3, parameter.high):
            moved = (*mixed.per_parent[parameter.name][:-1], value)
            again = replace(mixed, per_parent={**mixed.per_parent, parameter.name: moved})
            assert torch.equal(KERNELS[variant.name](again), expected), (parameter.name, value)
