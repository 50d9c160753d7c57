from __future__ import annotations

import pytest

from service.search.schedule import Generations, SlidingWindow


def test_a_generation_is_asked_for_when_the_one_before_was_told() -> None:
    schedule = Generations(baselines=3, population=4)
    assert [schedule.told_before(n) for n in range(12)] == [0] * 3 + [3] * 4 + [7] * 4 + [11]
    assert [schedule.generation(n) for n in (0, 2, 3, 6, 7)] == [0, 0, 1, 1, 2]
    assert (schedule.told_together(0), schedule.told_together(3)) == (range(3), range(3, 7))
    assert [n for n in range(12) if schedule.is_boundary(n)] == [3, 7, 11]


def test_in_a_window_a_candidate_is_asked_for_when_the_one_a_window_before_was_told() -> None:
    schedule = SlidingWindow(baselines=3, population=4, window=5)
    assert [schedule.told_before(n) for n in range(12)] == [0] * 3 + [3] * 5 + [4, 5, 6, 7]
    assert (schedule.told_together(0), schedule.told_together(3)) == (range(3), range(3, 4))
    assert [n for n in range(12) if schedule.is_boundary(n)] == [3, 7, 11]


@pytest.mark.parametrize("schedule", [Generations(2, 5), SlidingWindow(2, 5, 3), SlidingWindow(2, 5, 9)])
def test_no_candidate_waits_for_itself_or_for_later_ones(schedule: Generations | SlidingWindow) -> None:
    needed = [schedule.told_before(number) for number in range(40)]
    assert needed == sorted(needed)
    assert all(told <= number for number, told in enumerate(needed))
