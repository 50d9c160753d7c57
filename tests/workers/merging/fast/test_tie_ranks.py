"""Equal magnitudes rank as they lie in memory, however large the tensor and however it is searched."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from workers.merging.fast.statistics.block_counts import BLOCK, count_blocks
from workers.merging.fast.statistics.magnitudes import magnitude_table
from workers.merging.fast.statistics.tie_ranks import tie_position, tie_position_by_blocks
from workers.merging.fast.storage import Array
from workers.merging.fast.threads import STRETCH, Map, one_by_one, together


@pytest.mark.parametrize("work", [one_by_one, together])
@pytest.mark.parametrize("length", [5000, 6 * STRETCH + 77])
def test_as_many_equals_lie_before_the_place_as_were_asked_for(length: int, work: Map) -> None:
    rng = np.random.default_rng(0)
    parent, base = rng.integers(2, 9, length).astype(np.float32), np.ones(length, np.float32)
    places = np.sort(rng.choice(length, 400, replace=False))
    parent[places] = np.where(rng.random(400) < 0.5, 17.0, -15.0)  # 16 more or less than the base
    level = int(np.float32(16.0).view(np.uint32))

    counted = count_blocks(parent, base, work)
    for count in (1, 2, 133, 200, 201, 350, 399):
        place = tie_position(parent, base, level, count, 400, work)

        assert int((places < place).sum()) == count
        assert counted is not None
        place = tie_position_by_blocks(parent, base, counted, level, count)

        assert int((places < place).sum()) == count


@pytest.mark.parametrize(
    "decimals", [2, pytest.param(9, marks=pytest.mark.slow)], ids=["few magnitudes", "as many as entries"]
)
def test_the_table_of_magnitudes_knows_every_rank(decimals: int) -> None:
    rng = np.random.default_rng(1)
    parent = rng.standard_normal(BLOCK + 4001).round(decimals).astype(np.float32)
    base = np.zeros_like(parent)

    table = magnitude_table(parent, base, one_by_one)

    assert (table.blocks is None) == (decimals == 9)
    ranked = np.sort(np.abs(parent))[::-1]
    for rank in (0, 1, 1000, len(parent) // 2, len(parent) - 1):
        level = table.level(rank)
        assert np.uint32(level.bits).view(np.float32) == ranked[rank]
        assert (level.above, level.equal) == ((ranked > ranked[rank]).sum(), (ranked == ranked[rank]).sum())


def _bfloat16(numbers: Array) -> Array:
    return (np.asarray(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def _task_vector(kind: str) -> tuple[Array, Array]:
    """Returns a parent and a base, of a block and a few entries more."""
    rng, count = np.random.default_rng(3), BLOCK + 1001
    base = rng.standard_normal(count) * 0.02
    match kind:
        case "fine-tuned":
            return _bfloat16(base + rng.standard_normal(count) * 0.002), _bfloat16(base)
        case "hardly changed":
            return _bfloat16(base + rng.standard_normal(count) * 1e-5), _bfloat16(base)
        case "unchanged":
            return _bfloat16(base), _bfloat16(base)
        case "subnormal":
            return rng.integers(0, 9000, count).astype(np.float32) * np.float32(1e-45), np.zeros(
                count, np.float32
            )
        case "some infinite":
            return np.where(rng.random(count) < 0.5, np.inf, 3.7).astype(np.float32), np.ones(
                count, np.float32
            )
    raise ValueError(kind)


@pytest.mark.parametrize("kind", ["fine-tuned", "hardly changed", "unchanged", "subnormal", "some infinite"])
def test_every_magnitude_is_counted_in_every_block_and_in_all(kind: str) -> None:
    parent, base = _task_vector(kind)
    own, origin = (
        array if array.dtype == np.float32 else (array.astype(np.uint32) << 16).view(np.float32)
        for array in (parent, base)
    )
    magnitudes = np.abs(own - origin).view(np.uint32)

    table = magnitude_table(parent, base, one_by_one)

    assert table.blocks is not None
    for number, (start, stop) in enumerate(pairwise(table.blocks.offsets)):
        found, counts = np.unique(magnitudes[number * BLOCK : (number + 1) * BLOCK], return_counts=True)
        packed = table.blocks.packed[start:stop]
        np.testing.assert_array_equal(packed >> 32, found)
        np.testing.assert_array_equal(packed & 0xFFFFFFFF, counts)
    found, counts = np.unique(magnitudes, return_counts=True)
    np.testing.assert_array_equal(table.bits, found[::-1])
    np.testing.assert_array_equal(table.until, np.cumsum(counts[::-1]))
