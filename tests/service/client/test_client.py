from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from service.client.client import ApiError, Client, ServerUnreachableError
from service.experiment.candidate import CandidateStatus
from service.experiment.status import ExperimentStatus
from tests.service.running import ControlledWorkforce, ended, reached, serving, spec_over, wait_for

Parents = dict[str, Path]


@pytest.fixture
def workforce() -> ControlledWorkforce:
    return ControlledWorkforce()


@pytest.fixture
def client(tmp_path: Path, workforce: ControlledWorkforce) -> Iterator[Client]:
    with serving(tmp_path / "home", workforce) as url, Client(url) as opened:
        yield opened


def test_the_whole_way_through_the_client(client: Client, paper_parents: Parents, tmp_path: Path) -> None:
    assert client.version()["name"] == "evomerge"
    assert client.validate(spec_over(paper_parents)).valid
    created = client.create(spec_over(paper_parents))
    kinds = [event.kind for event in client.follow(created.id)]
    assert kinds[-1] == "experiment.status"

    done = ended(client, "small")
    assert done.status is ExperimentStatus.SUCCEEDED
    assert [c.number for c in client.all_candidates("small")] == list(range(12))
    assert client.candidates("small", status=CandidateStatus.FAILED).items == []
    assert client.candidates_csv("small").count("\n") == 13
    assert client.front("small", "test").front
    best = client.candidate("small", 7)
    assert client.recipe("small", 7) == best.recipe
    assert [page.name for page in client.experiments().items] == ["small"]
    assert client.events("small").items[0].kind == "experiment.created"

    export = client.export("small", 7, target=str(tmp_path / "out"))
    wait_for(lambda: client.export_state(export.id).status == "succeeded", "the export")
    assert client.exports().items[0].folder == str(tmp_path / "out")


def test_requests_are_carried_out(
    client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    key = client.create(spec_over(paper_parents)).id
    reached(client, str(key), ExperimentStatus.RUNNING)
    assert client.pause(key).status is ExperimentStatus.PAUSING
    workforce.pace = 0.1
    workforce.gate.set()  # what is on a worker finishes first
    reached(client, str(key), ExperimentStatus.PAUSED)
    workforce.gate.clear()
    assert client.resume(key).status is ExperimentStatus.QUEUED
    reached(client, str(key), ExperimentStatus.RUNNING)
    client.cancel(key)
    reached(client, str(key), ExperimentStatus.CANCELLED)


def test_a_finished_experiment_is_extended(client: Client, paper_parents: Parents) -> None:
    client.create(spec_over(paper_parents, budget={"candidates": 8, "failures": 3, "seconds": 600.0}))
    assert "extend" in ended(client, "small").may
    with pytest.raises(ApiError) as refused:
        client.extend("small", candidates=4)
    assert [(m.pointer, m.remedy) for m in refused.value.mistakes] == [("/candidates", "use 8 or more")]
    with pytest.raises(ApiError) as refused:
        client.extend("small", candidates=2_000_000)
    assert [m.remedy for m in refused.value.mistakes] == ["use 1000000 or less"]

    assert client.extend("small", candidates=14, seconds=None).status is ExperimentStatus.QUEUED
    done = ended(client, "small")
    assert done.status is ExperimentStatus.SUCCEEDED
    assert (done.spec["budget"]["candidates"], done.spec["budget"]["seconds"]) == (14, None)
    assert done.progress.settled == 18
    kinds = [event.kind for event in client.events("small").items]
    assert kinds.count("experiment.extended") == 1
    assert client.extend("small", candidates=14).status is ExperimentStatus.SUCCEEDED  # nothing changes


def test_a_refusal_tells_all_mistakes_and_what_to_do(client: Client, paper_parents: Parents) -> None:
    with pytest.raises(ApiError) as refused:
        client.create(spec_over(paper_parents, seed=-1, dtpye="float32"))
    assert refused.value.status == 422
    assert {m.pointer for m in refused.value.mistakes} == {"/seed", "/dtpye"}
    assert "dtype" in next(m.remedy for m in refused.value.mistakes if m.pointer == "/dtpye")


def test_what_no_request_can_say_is_refused_like_any_mistake(client: Client, paper_parents: Parents) -> None:
    for ask in (client.validate, client.create):
        with pytest.raises(ApiError) as refused:
            ask(spec_over(paper_parents, seed=float("nan")))
        assert (refused.value.status, refused.value.mistakes[0].pointer) == (422, "/seed")


def test_names_with_strange_characters_are_found(client: Client, paper_parents: Parents) -> None:
    name = "ärger & 100 % ?x=#1"
    client.create(spec_over(paper_parents, name=name))
    assert client.experiment(name).name == name


def test_an_address_without_a_service_says_how_to_start_one() -> None:
    with pytest.raises(ServerUnreachableError, match="evomerge serve"):
        Client("http://127.0.0.1:9").version()
    with pytest.raises(ServerUnreachableError, match="nonsense"):
        Client("nonsense").version()


def test_the_key_is_sent_and_asked_for(tmp_path: Path, workforce: ControlledWorkforce) -> None:
    with serving(tmp_path, workforce, api_key="secret") as url:
        assert Client(url, "secret").experiments().items == []
        with pytest.raises(ApiError) as refused:
            Client(url, "wrong").experiments()
    assert refused.value.status == 401
    assert "EVOMERGE_API_KEY" in refused.value.hint


def test_an_answer_that_is_not_evomerge_is_told_as_such() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(502, text="<h1>Bad gateway</h1>"))
    with pytest.raises(ApiError, match="answered 502"):
        Client("http://proxy.test", transport=page).version()
    other = httpx.MockTransport(lambda _: httpx.Response(200, json={"items": "many"}))
    with pytest.raises(ApiError, match="this version does not know"):
        Client("http://old.test", transport=other).experiments()


class CutOff(BaseHTTPRequestHandler):
    """Sends one event per connection and hangs up; notes where the client goes on."""

    protocol_version = "HTTP/1.1"
    asked: list[str | None] = []  # noqa: RUF012 - one server per test

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Last-Event-ID"))
        number = len(self.asked)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = f'{{"id": {number}, "experiment": null, "kind": "k", "payload": {{}}, "created_at": 0}}'
        text = f": ping\n\nevent: k\nid: {number}\ndata: {data}\n\n"
        if number == 3:
            text += "event: stream.ended\ndata: {}\n\n"
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
        self.close_connection = True  # without the last chunk: the connection broke

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


def test_a_broken_stream_is_taken_up_after_the_last_event() -> None:
    CutOff.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), CutOff)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            assert [event.id for event in client.follow("x")] == [1, 2, 3]
    finally:
        server.shutdown()
        server.server_close()
    assert CutOff.asked == ["0", "1", "2"]
