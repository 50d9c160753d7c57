"""A timeline says what ran where and how much of the time nothing ran."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.reports.analysis.timeline import timeline
from service.store.columns import Work

START = datetime(2026, 1, 1, tzinfo=UTC)


def work(number: int, worker: str, begin: float, merge: float, evaluate: float) -> Work:
    settled = START + timedelta(seconds=begin + merge + evaluate)
    return Work(number, "scored", worker, merge, evaluate, settled)


def test_every_worker_has_a_lane_and_idle_time_lowers_its_share() -> None:
    found = timeline([work(1, "gpu-0", 0, 1, 9), work(2, "gpu-1", 0, 1, 4), work(3, "gpu-0", 10, 2, 8)])

    assert found is not None
    assert found.seconds == pytest.approx(20)
    assert [(lane.worker, round(lane.busy, 2)) for lane in found.lanes] == [("gpu-0", 1.0), ("gpu-1", 0.25)]
    assert [bar.start for bar in found.lanes[0].bars] == [0, 10]
    assert found.lanes[0].merge == 1.5


def test_nothing_that_ran_has_no_timeline() -> None:
    assert timeline([]) is None
    assert timeline([Work(1, "failed", "gpu-0", 0.0, 0.0, START)]) is None
