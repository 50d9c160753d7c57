"""A long history is told again in large pieces, and the search stands where it stood."""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest

from search_spaces import Infeasible
from service.experiment.candidate import Candidate, Remembered
from service.search.collector import collector_waiting
from service.search.history import asked_by, next_piece, told_for_good
from service.search.schedule import Generations, Schedule, SlidingWindow

GENERATIONS, WINDOW = Generations(3, 4), SlidingWindow(3, 4, window=5)


def history(told: int, asked: int) -> dict[int, Remembered]:
    """So many candidates, of which the first were told."""
    all_of_them = {n: Remembered(Candidate(uuid4(), n, 0, None, Infeasible("it"))) for n in range(asked)}
    return {n: replace(one, told=n if n < told else None) for n, one in all_of_them.items()}


@pytest.mark.parametrize(
    ("schedule", "told", "asked", "for_good"),
    [
        (GENERATIONS, 0, 0, 0),
        (GENERATIONS, 0, 3, 0),  # the baselines are out
        (GENERATIONS, 7, 11, 7),  # a generation is out: it is asked for again after seven
        (GENERATIONS, 15, 15, 15),  # nothing is left
        (GENERATIONS, 11, 11, 11),  # the next generation was not asked for yet
        (WINDOW, 9, 13, 5),  # the ninth was asked for when five were told
        (WINDOW, 15, 15, 15),
    ],
)
def test_what_was_told_before_the_first_that_must_be_proven_needs_no_proof(
    schedule: Schedule, told: int, asked: int, for_good: int
) -> None:
    assert told_for_good(history(told, asked), schedule, total=15) == for_good


def test_those_that_are_out_by_then_were_asked_for() -> None:
    assert asked_by(5, history(9, 13), WINDOW) == 9  # the tenth waits for the sixth
    assert asked_by(7, history(7, 11), GENERATIONS) == 7
    assert asked_by(15, history(15, 15), GENERATIONS) == 15


def test_pieces_have_the_baselines_together_and_end_with_a_generation_where_that_counts() -> None:
    assert next_piece(0, 15, GENERATIONS, to_boundary=True) == range(3)
    assert next_piece(3, 15, GENERATIONS, to_boundary=True) == range(3, 7)
    assert next_piece(3, 15, GENERATIONS, to_boundary=False) == range(3, 15)
    assert next_piece(0, 2, GENERATIONS, to_boundary=True) == range(2)


def test_the_collector_waits_and_goes_on_after_an_error_too() -> None:
    with suppress(RuntimeError), collector_waiting():
        assert not gc.isenabled()
        raise RuntimeError
    assert gc.isenabled()
