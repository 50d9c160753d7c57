from __future__ import annotations

import asyncio
import json

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from service.web.api.bodies import StrictBodies

ADDRESS = "/api/v1/experiments"
JSON = {"Content-Type": "application/json"}
KEYS = {"type", "title", "status", "detail", "code", "instance", "request_id", "hint", "errors"}
DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000


def assert_problem(answer: object, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text  # type: ignore[attr-defined]
    assert answer.headers["Content-Type"] == "application/problem+json"  # type: ignore[attr-defined]
    problem = answer.json()  # type: ignore[attr-defined]
    assert problem.keys() == KEYS
    assert problem["status"] == status
    assert problem["type"].endswith(problem["code"])
    assert problem["request_id"] == answer.headers["X-Request-ID"]  # type: ignore[attr-defined]
    assert code is None or problem["code"] == code
    assert "Traceback" not in answer.text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
        (b'"x"', 422, "invalid_request"),
        (b"{", 400, "invalid_json"),
        (b"{} {}", 400, "invalid_json"),
        (b"\xef\xbb\xbf{}", 400, "invalid_json"),
        ('{"name": "x"}'.encode("utf-16"), 400, "invalid_json"),
        (b'{"name": "\xff"}', 400, "invalid_json"),
        (b'{"name": "\\ud800"}', 400, "bad_character"),
        (b'{"\\udfff": 1}', 400, "bad_character"),
        (b'{"\\udfff": 1, "\\udfff": 2}', 400, "duplicate_key"),
        (b'{"name": "a\\u0000b"}', 400, "bad_character"),
        (b'{"name": "a", "name": "b"}', 400, "duplicate_key"),
        (b'{"seed": NaN}', 400, "not_finite"),
        (b'{"seed": -Infinity}', 400, "not_finite"),
        (b'{"seed": 1e999}', 400, "not_finite"),
        (b'{"seed": ' + b"9" * 5000 + b"}", 400, "invalid_json"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, 400, "too_deep"),
        (DEEP, 400, "too_deep"),
        (b'{"notes": "' + b"x" * 300_000 + b'"}', 413, "body_too_large"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bodies_that_are_not_plain_json_are_refused(
    finished: TestClient, body: bytes, status: int, code: str
) -> None:
    assert_problem(finished.post(ADDRESS, content=body, headers=JSON), status, code)


def test_an_endless_body_is_cut_off() -> None:
    sent: list[Message] = []
    chunks = 0

    async def receive() -> Message:
        nonlocal chunks
        chunks += 1
        return {"type": "http.request", "body": b" " * 10_000, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("the body was handed on")

    scope = {"type": "http", "method": "POST", "path": ADDRESS, "headers": []}
    asyncio.run(StrictBodies(never)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert chunks < 30


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/yaml"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_only_plain_json_is_read(finished: TestClient, headers: dict[str, str]) -> None:
    assert_problem(finished.post(ADDRESS, content=b"{}", headers=headers), 415)


def test_unknown_addresses_and_verbs_are_problems(finished: TestClient) -> None:
    assert_problem(finished.get("/nowhere"), 404, "not_found")
    assert_problem(finished.get("/api/v1/experiments/small/nothing"), 404, "not_found")
    refused = finished.delete("/api/v1/experiments")
    assert_problem(refused, 405, "method_not_allowed")
    assert refused.headers["Allow"]


def test_an_empty_spec_lists_what_is_missing(finished: TestClient) -> None:
    answer = finished.post(ADDRESS, json={})
    assert_problem(answer, 422, "invalid_spec")
    assert {e["pointer"] for e in answer.json()["errors"]} >= {"/name", "/parents", "/objectives", "/budget"}


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "'; DROP TABLE experiments;--", "{{7*7}}", "CON"]
)
def test_names_are_shown_as_they_are(finished: TestClient, name: str) -> None:
    answer = finished.post(f"{ADDRESS}/validate", json={"name": name, "unknown_" + name: 1})
    assert answer.status_code == 200
    assert any(name in mistake["detail"] for mistake in json.loads(answer.text)["mistakes"])


def test_a_nul_in_the_address_is_refused(finished: TestClient) -> None:
    assert_problem(finished.get("/api/v1/experiments/%00"), 400, "bad_character")
    assert_problem(finished.get("/api/v1/experiments?page_token=%00"), 400, "bad_character")


def test_a_defect_becomes_a_problem_without_a_traceback(finished: TestClient) -> None:
    services = finished.app.state.services  # type: ignore[attr-defined]
    finished.app.state.services = None  # type: ignore[attr-defined]
    try:
        assert_problem(finished.get(ADDRESS), 500, "internal_error")
    finally:
        finished.app.state.services = services  # type: ignore[attr-defined]
