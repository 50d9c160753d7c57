"""Events are told in words, also those that this version does not know."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from service.reports.views import EventView
from service.web.dashboard.event_words import candidate_of, in_words


def event(kind: str, **payload: Any) -> EventView:
    return EventView(id=1, experiment=None, kind=kind, payload=payload, created_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event("candidate.settled", number=7, status="failed"), "candidate 7 is failed"),
        (
            event("generation.told", generation=2, best=0.5, best_number=3, hypervolume=0.25, front=[1, 2]),
            "generation 2 was learned from; best mean 0.5 (candidate 3), hypervolume 0.25, 2 on the front",
        ),
        (
            event("experiment.status", status="paused", reason="by request"),
            "the experiment is paused: by request",
        ),
        (event("experiment.status", status="unheard of"), "experiment status status unheard of"),
        (
            event("experiment.extended", before={"candidates": 5}, after={"candidates": 9}),
            "extended from 5 to 9 candidates",
        ),
        (event("export.status", status="running", where={"a": 1}), "export status status running"),
    ],
)
def test_an_event_is_a_sentence(told: EventView, words: str) -> None:
    assert in_words(told) == words


def test_the_candidate_that_it_is_about_is_known() -> None:
    assert candidate_of(event("candidate.settled", number=7)) == 7
    assert candidate_of(event("experiment.created", name="x")) is None
