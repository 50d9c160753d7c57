"""Experiments are paused, resumed, extended, cancelled and watched."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

from service.cli.exits import Exit
from service.client.client import Client
from service.experiment.status import ExperimentStatus
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, reached, spec_over

REPOSITORY = Path(__file__).parents[3]
Parents = dict[str, Path]


def test_an_experiment_is_steered(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents))
    reached(client, "small", ExperimentStatus.RUNNING)
    assert "small is being paused" in evomerge.notes("pause", "small")
    assert "small is searching" in evomerge.notes("resume", "small")
    assert "small is being cancelled" in evomerge.notes("cancel", "small")
    reached(client, "small", ExperimentStatus.CANCELLED)
    assert "is cancelled; it cannot go on" in evomerge("resume", "small", code=Exit.CONFLICT)
    evomerge("watch", "small", code=Exit.FAILED)


def test_a_finished_experiment_is_extended(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents, budget={"candidates": 8, "stagnation": 300}))
    assert "wait for its end" in evomerge("extend", "small", "--candidates", 50, code=Exit.CONFLICT)
    workforce.gate.set()
    ended(client, "small")
    assert "extend" in evomerge("status", "small")
    assert "small is waiting to start" in evomerge.notes(
        "extend", "small", "--candidates", 13, "--lift", "stagnation"
    )
    done = ended(client, "small")
    assert (done.progress.settled, done.spec["budget"]["stagnation"]) == (17, None)
    assert "use 13 or more" in evomerge("extend", "small", "--candidates", 9, code=Exit.INVALID)
    assert "--candidates" in evomerge("extend", "small", code=Exit.USAGE)
    assert "'failures' is no limit" in evomerge("extend", "small", "--lift", "failures", code=Exit.USAGE)


def test_an_experiment_is_deleted(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents))
    reached(client, "small", ExperimentStatus.RUNNING)
    assert "evomerge cancel small" in evomerge("delete", "small", "--yes", code=Exit.CONFLICT)
    workforce.gate.set()
    ended(client, "small")
    assert "--yes" in evomerge("delete", "small", code=Exit.USAGE)
    assert "small is deleted" in evomerge.notes("delete", "small", "--yes")
    evomerge("status", "small", code=Exit.NOT_FOUND)
    client.create(spec_over(paper_parents))  # its name is free again
    ended(client, "small")


def test_a_failed_experiment_ends_the_watch_with_its_cause(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.prepare_error = MemoryError("no room")
    client.create(spec_over(paper_parents))
    said = evomerge("watch", "small", code=Exit.FAILED)
    assert "evomerge resume small" in said


def test_progress_is_shown_line_by_line_where_there_is_no_terminal(finished: Command) -> None:
    said = finished.notes("watch", "small")
    assert "small: 12/12 candidates, finished" in said
    assert "hypervolume" in said
    assert "the winner is candidate" in said


def test_progress_is_a_bar_on_a_terminal(finished: Command) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from service.cli.program import main; main()", "watch", "small"],
        cwd=REPOSITORY, env=os.environ | {"EVOMERGE_URL": str(finished.environment["EVOMERGE_URL"]),
                                          "TERM": "xterm", "COLUMNS": "200"},
        stdout=subprocess.PIPE, stderr=child,
    )  # fmt: skip
    os.close(child)
    said = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the process is
        while chunk := os.read(parent, 4096):
            said += chunk
    os.close(parent)
    assert process.wait(20) == Exit.OK
    process.communicate()
    text = said.decode()
    assert "12/12" in text
    assert "━" in text
    assert "finished" in text
