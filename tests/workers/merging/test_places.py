"""Equal magnitudes rank as they lie in memory, however large the tensor and however it is searched."""

from __future__ import annotations

import numpy as np
import pytest

from workers.merging.fast.places import place_after
from workers.merging.fast.threads import STRETCH, Map, one_by_one, together


@pytest.mark.parametrize("work", [one_by_one, together])
@pytest.mark.parametrize("length", [5000, 6 * STRETCH + 77])
def test_as_many_equals_lie_before_the_place_as_were_asked_for(length: int, work: Map) -> None:
    rng = np.random.default_rng(0)
    parent, base = rng.integers(2, 9, length).astype(np.float32), np.ones(length, np.float32)
    places = np.sort(rng.choice(length, 400, replace=False))
    parent[places] = np.where(rng.random(400) < 0.5, 17.0, -15.0)  # 16 more or less than the base
    level = int(np.float32(16.0).view(np.uint32))

    for count in (1, 2, 133, 200, 201, 350, 399):
        place = place_after(parent, base, level, count, 400, work)

        assert int((places < place).sum()) == count
