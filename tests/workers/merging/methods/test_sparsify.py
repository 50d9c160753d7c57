"""Which entries the sparsifiers keep."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.merging.arithmetic.precision import chunk_length
from workers.merging.thinning.counter_random import random_words
from workers.merging.thinning.sparsify import (
    drop_smallest,
    keep_at_random,
    keep_at_random_by_rank,
    keep_between,
    keep_largest,
    keep_ranks,
)


def test_the_largest_magnitudes_are_kept() -> None:
    kept = keep_largest(torch.tensor([[0.1, -5.0, 2.0], [-0.2, 3.0, 0.0]]), 0.5)
    assert kept.tolist() == [[0.0, -5.0, 2.0], [0.0, 3.0, 0.0]]


def test_among_equal_magnitudes_the_first_in_memory_are_kept() -> None:
    kept = keep_largest(torch.tensor([1.0, -1.0, 2.0, 1.0, -1.0, 1.0]), 0.5)
    assert kept.tolist() == [1.0, -1.0, 2.0, 0.0, 0.0, 0.0]


def test_a_vector_too_short_for_its_density_keeps_one_entry() -> None:
    assert keep_largest(torch.tensor([1.0, -3.0, 2.0]), 0.01).tolist() == [0.0, -3.0, 0.0]


@given(
    rows=st.lists(st.lists(st.integers(-4, 4), min_size=7, max_size=7), min_size=1, max_size=6),
    first=st.integers(0, 7),
    stop=st.integers(0, 8),
    by_row=st.booleans(),
)
@settings(deadline=None)
def test_exactly_the_declared_ranks_are_kept(
    rows: list[list[int]],
    first: int,
    stop: int,
    by_row: bool,
) -> None:
    delta = torch.tensor(rows, dtype=torch.float32)
    groups = rows if by_row else [[value for row in rows for value in row]]
    expected = []
    for group in groups:
        ranked = sorted(range(len(group)), key=lambda i: (-abs(group[i]), i))[first : max(first, stop)]
        expected += [float(value) if i in ranked else 0.0 for i, value in enumerate(group)]
    assert keep_ranks(delta, first, stop, by_row=by_row).view(-1).tolist() == expected


@pytest.mark.parametrize("step", [1e-9, 0.25])
def test_ranks_of_long_vectors_are_exact_too(step: float) -> None:
    numbers = torch.randn(300_000, generator=torch.Generator().manual_seed(1))
    numbers = (numbers / step).round() * step  # a coarse step makes masses of equal magnitudes
    order = numbers.abs().argsort(descending=True, stable=True)
    expected = torch.zeros_like(numbers)
    expected[order[1000:90_000]] = numbers[order[1000:90_000]]
    assert torch.equal(keep_ranks(numbers.clone(), 1000, 90_000), expected)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_kept_whatever_its_rank(broken: float) -> None:
    values = [3.0, broken, 2.0, 1.0]
    for kept in (
        keep_ranks(torch.tensor(values), 1, 2),
        keep_between(torch.tensor(values), 2.5, 3.5),
        drop_smallest(torch.tensor(values), 4),
        keep_at_random_by_rank(torch.tensor(values), 1e-9, 0.0, seed=1),
    ):
        assert kept.isfinite().tolist() == [True, False, True, True]


def test_dropping_the_smallest_drops_their_equals_too() -> None:
    values = [1.0, -1.0, 2.0, 1.0, 0.5]
    assert drop_smallest(torch.tensor(values), 2).tolist() == [0.0, 0.0, 2.0, 0.0, 0.0]
    assert drop_smallest(torch.tensor(values), 1).tolist() == [1.0, -1.0, 2.0, 1.0, 0.0]
    assert drop_smallest(torch.tensor(values), 0).tolist() == values


def test_a_mask_by_rank_does_not_depend_on_the_portions() -> None:
    width = 3000
    rows = chunk_length(torch.device("cpu")) // width + 2  # more than are treated at once
    delta = torch.randn(rows, width, generator=torch.Generator().manual_seed(1))
    kept = keep_at_random_by_rank(delta.clone(), 0.45, 0.15, seed=3)
    last = delta[-1].abs().argsort(descending=True, stable=True)
    shifts = torch.linspace(0.15, -0.15, width, dtype=torch.float64).mul(2**16).round()
    bounds = (shifts + round(0.45 * 2**16)) * 2**16 - 2**31
    words = random_words(3, (rows - 1) * width, width)
    expected = torch.zeros(width).scatter(0, last, (words[last] < bounds).float())
    assert torch.equal(kept[-1] != 0, expected != 0)


@given(
    values=st.lists(st.integers(-4, 4), min_size=1, max_size=60),
    density=st.floats(0.001, 0.999),
)
@settings(deadline=None)
def test_exactly_the_declared_number_is_kept(values: list[int], density: float) -> None:
    delta = torch.tensor(values, dtype=torch.float32)
    count = max(1, int(density * len(values)))
    ranked = sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))
    expected = [float(v) if i in ranked[:count] else 0.0 for i, v in enumerate(values)]
    assert keep_largest(delta, density).tolist() == expected


def splitmix64(seed: int) -> int:
    """The published generator's first number, in plain whole numbers."""
    state = (seed + 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31


def test_random_words_follow_the_declared_formula() -> None:
    assert splitmix64(1234567) == 6457827717110365317  # as published
    seed = 1234567
    s, z = splitmix64(seed) % 2**32, splitmix64(seed) >> 32
    expected = []
    for i in range(1000, 1100):
        h = (i * 0x9E3779B9 + s) % 2**32
        h = (h ^ h >> 16) * 0x21F0AAAD % 2**32
        h = (h ^ h >> 15 ^ z) * 0x735A2D97 % 2**32
        h ^= h >> 15
        expected.append(h - 2**32 if h >= 2**31 else h)
    assert random_words(seed, 1000, 100).tolist() == expected


@pytest.mark.parametrize(("start", "count"), [(0, 1), (1, 1), (3, 8), (4, 7), (1001, 513)])
def test_a_stretch_of_random_words_does_not_depend_on_where_it_is_cut(start: int, count: int) -> None:
    whole = random_words(2**64 - 5, 0, 2000)
    assert torch.equal(random_words(2**64 - 5, start, count), whole[start : start + count])


def test_random_bits_are_fair_and_do_not_follow_each_other() -> None:
    words = random_words(99, 0, 1 << 16).long()
    for bit in range(32):
        ones = int(((words >> bit) & 1).sum())
        assert abs(ones - 2**15) <= 5 * 128
    signs = (words >= 0).double() * 2 - 1
    for distance in (1, 2, 3, 64):
        assert abs(float((signs[distance:] * signs[:-distance]).sum())) <= 5 * 256


def test_the_words_go_on_where_the_index_outgrows_32_bits() -> None:
    across = random_words(5, 2**32 - 3, 6)
    assert torch.equal(across[:3], random_words(5, 2**32 - 3, 3))
    assert torch.equal(across[3:], random_words(5, 2**32, 3))
    assert not torch.equal(across[3:], random_words(5, 0, 3))


def test_masks_of_neighbouring_seeds_are_independent() -> None:
    first, second = (random_words(seed, 0, 1 << 16) < 0 for seed in (7, 8))
    agree = int((first == second).sum())
    assert abs(agree - 2**15) <= 5 * 128


@pytest.mark.parametrize("density", [0.1, 0.5, 0.93])
def test_the_density_is_kept_to(density: float) -> None:
    count = 200_000
    kept = int(keep_at_random(torch.ones(count), density, seed=3).sum())
    assert abs(kept - density * count) <= 5 * math.sqrt(count * density * (1 - density))


def test_a_higher_density_keeps_what_a_lower_one_kept() -> None:
    low, high = (keep_at_random(torch.ones(10_000), density, seed=3) for density in (0.3, 0.6))
    assert bool((high >= low).all())


def test_a_mask_does_not_depend_on_the_shape_or_on_the_portions() -> None:
    length = chunk_length(torch.device("cpu"))
    count = length + 1000
    whole = keep_at_random(torch.ones(count), 0.5, seed=5)
    assert torch.equal(keep_at_random(torch.ones(1000), 0.5, seed=5), whole[:1000])
    assert torch.equal(whole[length:] != 0, random_words(5, length, 1000) < 0)
    assert torch.equal(keep_at_random(torch.ones(40, 25), 0.5, seed=5).view(-1), whole[:1000])


def test_masks_are_those_of_yesterday() -> None:
    kept = keep_at_random(torch.ones(16), 0.5, seed=2024)
    assert "".join(str(int(bit)) for bit in kept.tolist()) == "0111101101111010"
