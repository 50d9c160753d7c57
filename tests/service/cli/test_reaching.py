"""Commands find experiments: in the service that is meant, or in the home where none runs."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.connection import Place
from service.cli.exits import Exit
from service.cli.installation.announcement import ANNOUNCEMENT, announced, announced_url
from service.cli.installation.server import listen
from service.cli.reaching import Need, connect, reach
from service.client.addresses import usual_url
from service.client.client import Client, ServerUnreachableError, SlowAnswerError
from service.experiment.status import ExperimentStatus
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, reached, serving, spec_over

Parents = dict[str, Path]


@pytest.fixture(scope="module")
def left_home(tmp_path_factory: pytest.TempPathFactory, paper_parents: Parents) -> Path:
    """The home of a service that has gone: `small` has succeeded in it, `waiting` is paused."""
    home = tmp_path_factory.mktemp("left")
    workforce = ControlledWorkforce()
    with serving(home, workforce) as url, Client(url) as client:
        client.create(spec_over(paper_parents))
        ended(client, "small")
        workforce.gate.clear()
        client.create(spec_over(paper_parents, name="waiting"))
        reached(client, "waiting", ExperimentStatus.RUNNING)
        client.pause("waiting")
        workforce.pace = 0.1
        workforce.gate.set()  # what is on a worker finishes first
        reached(client, "waiting", ExperimentStatus.PAUSED)
    return home


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command on a machine on which no service listens at the usual address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("EVOMERGE_PORT", str(taken.getsockname()[1]))
        yield Command(None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("list",), "waiting"),
        (("status", "small"), "finished"),
        (("front", "small"), "parent: left"),
        (("candidates", "small"), "parent: left"),
        (("show", "small", "winner"), "merge_method"),
        (("events", "small"), "experiment.created"),
        (("examination", "small"), "winner:"),
        (("recipe", "small", "winner"), "merge_method"),
        (("lineage", "small", "7"), "7"),
        (("lineage", "small", "winner"), "CANDIDATE"),
    ],
)
def test_commands_that_look_open_the_home_where_no_service_runs(
    alone: Command, left_home: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert told in alone(*arguments, "--home", left_home)


def test_the_home_of_the_environment_is_meant_as_the_service_means_it(
    alone: Command, left_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOMERGE_HOME", str(left_home))
    assert "small" in alone("list")


def test_what_is_asked_of_an_experiment_waits_for_a_service(alone: Command, left_home: Path) -> None:
    for command, state in (("resume", "waiting to start"), ("pause", "paused")):
        assert f"waiting is {state}" in alone.notes(command, "waiting", "--home", left_home)
    assert "stands still" in alone("watch", "waiting", "--home", left_home, code=Exit.UNREACHABLE)
    assert "small finished" in alone.notes("watch", "small", "--home", left_home)


def test_a_command_that_only_looks_leaves_no_home_behind(alone: Command, tmp_path: Path) -> None:
    said = alone("list", "--home", tmp_path / "none", code=Exit.UNREACHABLE)
    assert f"{tmp_path / 'none'} holds no experiments" in said
    assert "evomerge run FILE.yml" in said
    assert not (tmp_path / "none").exists()


def test_looking_runs_nothing(left_home: Path, alone: Command) -> None:
    with reach(Place(home=left_home)) as (client, own):
        assert own
        client.resume("waiting")
        client.experiment("waiting")
        assert client.experiment("waiting").status is ExperimentStatus.QUEUED
        client.pause("waiting")
    assert alone("list", "--home", left_home)


def test_a_home_and_a_service_together_are_refused(alone: Command, tmp_path: Path) -> None:
    said = alone("list", "--home", tmp_path, "--server", "http://127.0.0.1:9", code=Exit.USAGE)
    assert "two places" in said


def test_a_service_of_another_home_is_told_apart(
    left_home: Path, tmp_path: Path, paper_parents: Parents, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "other", ControlledWorkforce()) as url:
        monkeypatch.setenv("EVOMERGE_PORT", url.rpartition(":")[2])
        evomerge = Command(None)
        assert evomerge("list", "--home", tmp_path / "other") == ""
        assert "small" in evomerge("list", "--home", left_home)
        told = evomerge.notes("list", "--home", left_home)
        assert f"serves {tmp_path / 'other'}, not {left_home}" in told

        monkeypatch.chdir(tmp_path)  # nothing was run in this folder: the one service here is meant
        assert "no experiments yet" in evomerge.notes("list")
        monkeypatch.setenv("EVOMERGE_HOME", str(left_home))
        assert f"--server {url} asks that service" in evomerge.notes("list")


def test_a_service_is_found_by_its_home_whatever_its_port(
    alone: Command, tmp_path: Path, paper_parents: Parents
) -> None:
    with serving(tmp_path, ControlledWorkforce()) as url:
        assert announced_url(tmp_path) == url
        with connect(Place(home=tmp_path)) as client:
            assert client.url == url
    assert announced_url(tmp_path) is None


def test_a_service_that_is_still_starting_is_waited_for(
    alone: Command, tmp_path: Path, left_home: Path
) -> None:
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    answered = threading.Event()

    def answer_late() -> None:
        for _ in range(2):  # to who asks whether it is one, and to the question
            connection, _ = listener.accept()
            connection.recv(65536)
            answered.wait(0.5)
            body = json.dumps({"name": "evomerge", "version": "0", "home": str(tmp_path)}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.close()

    thread = threading.Thread(target=answer_late)
    thread.start()
    with announced(tmp_path, url), reach(Place(home=tmp_path), Need.CHECK) as (client, own):
        assert (client.url, own) == (url, False)
        assert client.version()["home"] == str(tmp_path)
    thread.join()
    listener.close()


@pytest.mark.parametrize("text", ["", "{}", '{"url": 1}', '{"url": "http://x", "process": 0}', "[1]"])
def test_an_announcement_that_says_nothing_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ANNOUNCEMENT).write_text(text)
    assert announced_url(tmp_path) is None


def test_an_announcement_of_a_process_that_is_gone_is_none(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    said = {"url": "http://127.0.0.1:1", "process": child, "machine": socket.gethostname()}
    (tmp_path / ANNOUNCEMENT).write_text(json.dumps(said))
    assert announced_url(tmp_path) is None


def test_the_client_means_by_host_and_port_what_the_service_means(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual_url() == "http://127.0.0.1:8000"
    monkeypatch.setenv("EVOMERGE_PORT", "8123")
    monkeypatch.setenv("EVOMERGE_HOST", "::1")
    assert usual_url() == "http://[::1]:8123"
    monkeypatch.setenv("EVOMERGE_URL", "https://evomerge.test")
    assert usual_url() == "https://evomerge.test"


def test_slow_is_told_apart_from_absent() -> None:
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(url, timeout=0.1) as client, pytest.raises(SlowAnswerError, match=r"is there, but did not"):
        client.version()
    listener.close()
    with Client(url) as client, pytest.raises(ServerUnreachableError):
        client.version()
