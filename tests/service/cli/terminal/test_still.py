"""What takes long says that it goes on, and is waited for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import yaml

from service.cli.terminal import still as patience
from service.cli.terminal.still import still
from service.client.client import Client
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, serving, spec_over
from workers.protocol.messages import BenchmarkInquiry, Interrupted, Job, JobResult, never


class SlowToAnswer(ControlledWorkforce):
    """A workforce whose first answer about a benchmark takes its time, as where data must be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.hurry = threading.Event()

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Answers, after a while."""
        if isinstance(job, BenchmarkInquiry):
            self.hurry.wait(1.0)
        return super().run_job(job, interrupted)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_SECONDS", 0.05)


def test_a_slow_check_says_so_and_is_waited_for(tmp_path: Path, paper_parents: dict[str, Path]) -> None:
    file = tmp_path / "experiment.yml"
    file.write_text(yaml.safe_dump(spec_over(paper_parents)))
    with serving(tmp_path / "home", SlowToAnswer()) as url:
        said = Command(url).notes("check", file)
    assert f"still checking {file}" in said
    assert "data sets" in said


def test_checks_and_creation_have_no_time_limit(tmp_path: Path, paper_parents: dict[str, Path]) -> None:
    workforce = SlowToAnswer()
    with serving(tmp_path, workforce) as url, Client(url, timeout=0.3) as client:
        assert client.validate(spec_over(paper_parents)).valid
        assert client.create(spec_over(paper_parents)).name == "small"
        workforce.hurry.set()


def test_what_is_done_at_once_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "FIRST_SECONDS", 60.0)
    with still("waiting"):
        pass
    assert capsys.readouterr().err == ""
