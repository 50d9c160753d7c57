"""How far a merge is, and how long it will still take."""

from __future__ import annotations

import pytest

from service.cli.models.merge_progress import ProgressLines


def report(monkeypatch: pytest.MonkeyPatch, *marks: tuple[float, int, int]) -> None:
    """Tells of a merge of a million bytes: seconds since its start, tensors and bytes written."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    lines = ProgressLines()
    lines.announced(1_000_000)
    for seconds, tensors, count in marks:
        now[0] = seconds
        lines.written(tensors, count)


def test_the_time_before_the_first_tensor_is_not_part_of_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A minute of compiling comes first.
    report(monkeypatch, (60.0, 1, 100_000), (62.0, 2, 300_000))
    assert "30 %, 300.0 kB of 1.0 MB, 100.0 kB/s, 0:00:07 left" in capsys.readouterr().err


def test_what_an_earlier_process_wrote_is_not_part_of_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report(monkeypatch, (60.0, 8, 800_000), (64.0, 9, 900_000))
    said = capsys.readouterr().err
    assert "going on after 8 tensors, 800.0 kB" in said
    assert "90 %, 900.0 kB of 1.0 MB, 25.0 kB/s, 0:00:04 left" in said
