"""How workers are shared out, as arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.pools.sharing import Amount, Claim, shared_out, taken

EIGHT_GPUS = Amount(float("inf"), cpus=32, gpus=8, memory=100)
A_GPU = Amount(1, gpus=1)


def claim(key: int, wanted: int = 99, **fields: Any) -> Claim[int]:
    given: dict[str, Any] = {"each": A_GPU, "wanted": wanted, "maximum": 99} | fields
    return Claim(key, **given)


def shares(*claims: Claim[int], capacity: Amount = EIGHT_GPUS) -> list[int]:
    granted = shared_out(capacity, claims)
    return [granted[claim.key] for claim in claims]


def test_an_experiment_alone_gets_all_that_it_wants() -> None:
    assert shares(claim(0)) == [8]
    assert shares(claim(0, wanted=3)) == [3]


def test_workers_are_divided_fairly() -> None:
    assert shares(claim(0), claim(1)) == [4, 4]
    assert shares(claim(0), claim(1), claim(2)) == [3, 3, 2]


def test_what_one_does_not_want_is_lent_to_the_others() -> None:
    assert shares(claim(0, wanted=1), claim(1), claim(2)) == [1, 4, 3]
    assert shares(claim(0, wanted=0), claim(1)) == [0, 8]


def test_twice_the_priority_gets_twice_the_workers() -> None:
    assert shares(claim(0), claim(1, priority=3.0)) == [2, 6]


def test_minima_come_first_and_maxima_hold() -> None:
    assert shares(claim(0), claim(1, minimum=6)) == [2, 6]
    assert shares(claim(0, maximum=2), claim(1)) == [2, 6]


def test_of_minima_that_do_not_fit_together_the_younger_experiment_waits() -> None:
    assert shares(claim(0, minimum=5), claim(1, minimum=5)) == [8, 0]
    assert shares(claim(0, minimum=5), claim(1, minimum=5, priority=2.0)) == [0, 8]


def test_models_that_do_not_fit_beside_others_wait_and_smaller_ones_do_not() -> None:
    machine = Amount(float("inf"), cpus=8, memory=100)
    large = Amount(1, cpus=1, memory=30)
    one = claim(0, each=large, parents={"a": 30})
    other = claim(1, each=large, parents={"b": 30})
    small = claim(2, each=Amount(1, cpus=1, memory=1), parents={"c": 5})
    assert shares(one, other, capacity=machine) == [2, 0]
    assert shares(one, other, small, capacity=machine) == [2, 0, 5]


def test_parents_that_experiments_share_are_in_memory_once() -> None:
    machine = Amount(float("inf"), cpus=8, memory=100)
    each = Amount(1, cpus=1, memory=30)
    same = {"a": 30}
    assert shares(*(claim(n, each=each, parents=same) for n in range(2)), capacity=machine) == [1, 1]


def test_the_scarcest_resource_is_what_counts() -> None:
    machine = Amount(float("inf"), cpus=9, memory=18)
    thoughtful = claim(0, each=Amount(1, cpus=1, memory=4))
    busy = claim(1, each=Amount(1, cpus=3, memory=1))
    assert shares(thoughtful, busy, capacity=machine) == [3, 2]  # the example of the paper


AMOUNTS = st.builds(Amount, st.just(1.0), *(st.integers(0, 4).map(float) for _ in range(3)))
CLAIMS = st.lists(
    st.builds(
        Claim,
        st.just(0),
        AMOUNTS,
        st.integers(0, 9),
        st.integers(1, 3),
        st.integers(3, 9),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.dictionaries(st.sampled_from("abc"), st.just(2)),
    ),
    max_size=6,
)


@given(CLAIMS, st.builds(Amount, *(st.integers(0, 20).map(float) for _ in range(4))))
def test_never_more_is_given_than_there_is_and_nothing_wanted_is_left(
    drawn: list[Claim[int]], capacity: Amount
) -> None:
    claims = [
        Claim(n, c.each, c.wanted, c.minimum, c.maximum, c.priority, c.parents) for n, c in enumerate(drawn)
    ]
    granted = shared_out(capacity, claims)
    assert taken([(c, granted[c.key]) for c in claims]).fits(capacity)
    for one in claims:
        count = granted[one.key]
        assert count == 0 or min(one.minimum, one.most) <= count <= one.most
        if 0 < count < one.most:
            more = [(c, granted[c.key] + (c is one)) for c in claims]
            assert not taken(more).fits(capacity)


@pytest.mark.parametrize("wanted", [0, 5])
def test_where_there_is_no_worker_none_is_given(wanted: int) -> None:
    assert shares(claim(0, wanted=wanted), capacity=Amount(0.0)) == [0]
