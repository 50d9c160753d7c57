"""What must hold of any database at any moment, and queries for what breaks it (`evomerge doctor`)."""

from __future__ import annotations

from service.store.invariants import ends, holders, records, scores
from service.store.invariants.invariant import Invariant, Verdict, judge

__all__ = ["INVARIANTS", "REPLAY", "Invariant", "Verdict", "judge"]

_BY_RUNS = (
    Invariant(
        "I4",
        "killed anywhere, the same end",
        "A search that was killed at any moment, any number of times, ends as if nothing had happened.",
        elsewhere="`python -m benchmarks.chaos`; tests of killed controllers",
    ),
    Invariant(
        "I5",
        "any number of workers",
        "Neither the number nor the speed of the workers changes what is proposed.",
        elsewhere="tests of the search loop",
    ),
    Invariant(
        "I21",
        "scratch goes",
        "No temporary folder outlives its merge.",
        elsewhere="tests of killed exports",
    ),
)
REPLAY = Invariant(
    "I3",
    "replay",
    "Told again what was told, in order, a new optimizer proposes every candidate as it is stored.",
    elsewhere="`--replay`, which asks for every candidate once more",
)

_ALL = (*ends.INVARIANTS, *scores.INVARIANTS, *holders.INVARIANTS, *records.INVARIANTS, *_BY_RUNS, REPLAY)
INVARIANTS = {one.id: one for one in sorted(_ALL, key=lambda one: int(one.id[1:]))}
