"""Equal magnitudes rank as they lie in memory, however large the tensor and however it is searched."""

from __future__ import annotations

import numpy as np
import pytest

from workers.merging.fast.statistics.block_counts import BLOCK, count_blocks
from workers.merging.fast.statistics.magnitudes import magnitude_table
from workers.merging.fast.statistics.tie_ranks import tie_position, tie_position_by_blocks
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
