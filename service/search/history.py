"""History: the part of a search that only has to be told again, because nothing in it must be proven."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from service.experiment.candidate import Remembered
from service.search.schedule import Schedule

PIECE = 2_000  # candidates that are told in one go


def told_for_good(remembered: Mapping[int, Remembered], schedule: Schedule, total: int) -> int:
    """Returns how many candidates were told when the first was asked for that must be proven, or is new.

    Those before them were told in the order of their numbers, and need not be asked for again.

    Args:
        remembered: By number.
        schedule: Of the search, which tells by number.
        total: How many candidates there may be.
    """
    told = sum(one.told is not None for one in remembered.values())
    first = next(n for n in count() if n not in remembered or remembered[n].told is None)
    nothing_is_left = first not in remembered and first >= total
    return told if nothing_is_left else min(schedule.told_before(first), told)


def asked_by(told: int, remembered: Mapping[int, Remembered], schedule: Schedule) -> int:
    """Returns the first number that was not asked for before so many candidates were told."""
    number = told
    while number in remembered and schedule.told_before(number) < told:
        number += 1
    return number


def next_piece(told: int, end: int, schedule: Schedule, *, to_boundary: bool) -> range:
    """Returns the numbers that are told next in one go: law 1 says that their cut does not matter.

    Args:
        told: How many were told.
        end: How many may be.
        schedule: Whose baselines are told together.
        to_boundary: To end where a generation ends, at the latest.
    """
    most = max(told + PIECE, schedule.told_together(told).stop)
    if to_boundary:
        most = next((n for n in range(told + 1, end) if schedule.is_boundary(n)), end)
    return range(told, min(most, end))
