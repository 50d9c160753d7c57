"""Workers that are broken, or lie: what they answer counts as far as it can be true."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from uuid import uuid4

import pytest

from evaluators import Score
from service.search.answers import believable
from workers.protocol.messages import Failed, Scored

ASKED = ("words", "sums")


def score(benchmark: str, value: float = 0.5, stderr: float = 0.1) -> Score:
    return Score(benchmark, "acc,none", value, stderr, True)


def answer(*scores: Score) -> Scored:
    return Scored(uuid4(), 1, scores, 0.1, 0.2, "worker")


HONEST = answer(score("words"), score("sums"))


@pytest.mark.parametrize(
    "scores",
    [
        (score("words", nan), score("sums")),
        (score("words"), score("sums", stderr=inf)),
        (score("words"),),
        (score("words"), score("other")),
        (score("words"), score("sums"), score("sums", 0.9)),
        (),
    ],
)
def test_scores_that_are_no_numbers_or_of_other_benchmarks_are_a_failure_with_its_cause(
    scores: tuple[Score, ...],
) -> None:
    failed = believable(replace(HONEST, scores=scores), ASKED, seconds=1.0)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "bad_score"
    assert failed.failure.remedy


def test_scores_come_in_the_order_in_which_they_were_asked() -> None:
    turned = believable(replace(HONEST, scores=HONEST.scores[::-1]), ASKED, seconds=1.0)
    assert turned == HONEST


@pytest.mark.parametrize(("merge", "evaluate"), [(nan, 0.1), (-1e9, 0.1), (0.1, inf)])
def test_times_that_cannot_be_true_become_what_is_known_of_them(merge: float, evaluate: float) -> None:
    told = believable(replace(HONEST, merge_seconds=merge, evaluate_seconds=evaluate), ASKED, seconds=3.0)
    assert told == replace(HONEST, merge_seconds=0.0, evaluate_seconds=3.0)
