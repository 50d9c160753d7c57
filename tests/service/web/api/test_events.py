from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from service.client.client import Client
from tests.service.running import ControlledWorkforce, Steps, serving, spec_over, wait_for

BASE = "/api/v1/experiments/small/events"
Parents = dict[str, Path]


@pytest.fixture
def live(tmp_path: Path, workforce: ControlledWorkforce) -> Iterator[httpx.Client]:
    """A service on a real port: only there do streams stream."""
    with (
        serving(tmp_path / "home", workforce) as url,
        httpx.Client(base_url=url, timeout=30.0, trust_env=False) as http,
    ):
        yield http


def ids(text: str) -> list[int]:
    return [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]


def test_the_history_is_paged_oldest_first(finished: TestClient) -> None:
    kinds: list[str] = []
    token = ""
    while token is not None:
        page = finished.get(f"{BASE}?page_size=7" + (f"&page_token={token}" if token else "")).json()
        kinds += [item["kind"] for item in page["items"]]
        token = page["next_page_token"]
    assert kinds[0] == "experiment.created"
    assert kinds[-1] == "experiment.status"
    assert kinds.count("candidate.settled") >= 12
    assert kinds.count("generation.told") == 3


def test_the_stream_of_an_ended_experiment_gives_all_and_ends(finished: TestClient) -> None:
    answer = finished.get(f"{BASE}/stream")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    history = [item["id"] for item in finished.get(f"{BASE}?page_size=1000").json()["items"]]
    assert ids(answer.text) == history
    assert answer.text.rstrip().endswith("event: stream.ended\ndata: {}")


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_stream_goes_on_after_the_last_event_that_came(finished: TestClient, way: str) -> None:
    history = [item["id"] for item in finished.get(f"{BASE}?page_size=1000").json()["items"]]
    after = history[5]
    answer = (
        finished.get(f"{BASE}/stream", headers={"Last-Event-ID": str(after)})
        if way == "header"
        else finished.get(f"{BASE}/stream?after={after}")
    )
    assert ids(answer.text) == history[6:]


@pytest.mark.parametrize("last", ["-1", "text", "9" * 30])
def test_a_last_event_id_is_a_number(finished: TestClient, last: str) -> None:
    assert finished.get(f"{BASE}/stream", headers={"Last-Event-ID": last}).status_code == 422


def test_a_stream_of_nothing_is_a_404(finished: TestClient) -> None:
    answer = finished.get("/api/v1/experiments/unknown/events/stream")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_events_come_as_they_happen(
    live: httpx.Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    live.post("/api/v1/experiments", json=spec_over(paper_parents)).raise_for_status()
    seen: list[str] = []
    with live.stream("GET", f"{BASE}/stream") as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                seen.append(line[7:])
                if seen == ["experiment.created", "experiment.status"]:
                    workforce.gate.set()  # nothing was scored before the stream was open
    assert seen.count("candidate.settled") >= 12
    assert seen[-2:] == ["experiment.status", "stream.ended"]


def test_a_crowd_of_listeners_does_not_keep_others_waiting(
    live: httpx.Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    live.post("/api/v1/experiments", json=spec_over(paper_parents)).raise_for_status()
    count = 60
    opened = threading.Semaphore(0)

    def listen(_: int) -> list[int]:
        with live.stream("GET", f"{BASE}/stream") as answer:
            opened.release()
            return ids("\n".join(answer.iter_lines()))

    with httpx.Client(base_url=live.base_url, trust_env=False) as other, ThreadPoolExecutor(count) as pool:
        listeners = [pool.submit(listen, number) for number in range(count)]
        for _ in range(count):
            assert opened.acquire(timeout=20)
        started = time.monotonic()
        other.get("/api/v1/experiments/small").raise_for_status()
        assert time.monotonic() - started < 2.0
        workforce.gate.set()
        reported = {tuple(listener.result(timeout=30)) for listener in listeners}
    assert len(reported) == 1
    assert len(reported.pop()) > 12


def test_streams_end_when_the_service_goes_down(
    tmp_path: Path, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    lines: list[str] = []

    def listen(url: str) -> None:
        with httpx.stream("GET", f"{url}{BASE}/stream", timeout=30.0, trust_env=False) as answer:
            lines.extend(answer.iter_lines())

    with serving(tmp_path / "home", workforce) as url:
        with Client(url) as client:
            client.create(spec_over(paper_parents))
        listener = threading.Thread(target=listen, args=(url,))
        listener.start()
        time.sleep(1.0)
    listener.join(10)
    assert not listener.is_alive()
    assert "event: stream.ended" not in lines  # it is to come back to the next service


def test_a_silent_stream_is_kept_alive(
    live: httpx.Client,
    workforce: ControlledWorkforce,
    paper_parents: Parents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.2)
    workforce.gate.clear()
    live.post("/api/v1/experiments", json=spec_over(paper_parents)).raise_for_status()
    comments = 0
    with live.stream("GET", f"{BASE}/stream") as answer:
        for line in answer.iter_lines():
            comments += line == ": ping"
            if comments == 2:
                break
    workforce.gate.set()
    steps = Steps(live)
    wait_for(lambda: steps.experiment("small")["status"] == "succeeded", "the experiment")
