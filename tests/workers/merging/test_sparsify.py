"""Which entries the sparsifiers keep."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.merging.counter_random import random_words
from workers.merging.precision import chunk_length
from workers.merging.sparsify import keep_at_random, keep_largest


def test_the_largest_magnitudes_are_kept() -> None:
    kept = keep_largest(torch.tensor([[0.1, -5.0, 2.0], [-0.2, 3.0, 0.0]]), 0.5)
    assert kept.tolist() == [[0.0, -5.0, 2.0], [0.0, 3.0, 0.0]]


def test_among_equal_magnitudes_the_first_in_memory_are_kept() -> None:
    kept = keep_largest(torch.tensor([1.0, -1.0, 2.0, 1.0, -1.0, 1.0]), 0.5)
    assert kept.tolist() == [1.0, -1.0, 2.0, 0.0, 0.0, 0.0]


def test_a_vector_too_short_for_its_density_keeps_one_entry() -> None:
    assert keep_largest(torch.tensor([1.0, -3.0, 2.0]), 0.01).tolist() == [0.0, -3.0, 0.0]


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


def test_random_words_are_those_of_splitmix64() -> None:
    # The published sequence from seed 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    words = random_words(1234567, 0, 6)
    assert words.view(torch.int64).tolist() == [n - 2**64 if n >= 2**63 else n for n in published]


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
    assert "".join(str(int(bit)) for bit in kept.tolist()) == "1100001001011011"
