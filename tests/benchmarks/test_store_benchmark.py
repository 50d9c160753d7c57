from __future__ import annotations

import pytest

from benchmarks.store import UnequalError, per_candidate
from benchmarks.storing.service_side import GENES, Stored, durable_search
from service.store.database import Database
from tests.databases import sqlite_database, sqlite_url

__all__ = ["sqlite_database", "sqlite_url"]


@pytest.mark.parametrize("in_flight", [1, 8])
def test_every_candidate_of_the_store_benchmark_is_stored_and_counted(
    sqlite_database: Database, in_flight: int
) -> None:
    stored = durable_search(sqlite_database, "run", candidates=12, in_flight=in_flight, seed=0)
    assert (stored.finished, stored.values) == (12, 12 * (GENES + 1))
    assert per_candidate(stored, 12) == stored.seconds / 12


def test_a_side_that_stored_less_has_no_time() -> None:
    with pytest.raises(UnequalError, match=r"11 candidates with 275 numbers are stored, not 12 with 300"):
        per_candidate(Stored(1.0, 11, 275), 12)
