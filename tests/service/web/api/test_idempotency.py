from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from service.store.database import Database
from service.store.repository import Repository
from tests.service.running import ControlledWorkforce, Steps, spec_over

ADDRESS = "/api/v1/experiments"
Parents = dict[str, Path]


def test_the_same_request_gets_the_first_answer(http: TestClient, paper_parents: Parents) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = http.post(ADDRESS, json=spec_over(paper_parents), headers=headers)
    again = http.post(ADDRESS, json=spec_over(paper_parents), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json() == first.json()
    assert len(http.get(ADDRESS).json()["items"]) == 1


def test_a_key_is_not_used_for_another_body(http: TestClient, paper_parents: Parents) -> None:
    headers = {"Idempotency-Key": "k1"}
    http.post(ADDRESS, json=spec_over(paper_parents), headers=headers)
    answer = http.post(ADDRESS, json=spec_over(paper_parents, seed=8), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_refused_request_may_be_mended_under_its_key(http: TestClient, paper_parents: Parents) -> None:
    headers = {"Idempotency-Key": "k1"}
    assert http.post(ADDRESS, json=spec_over(paper_parents, seed=-1), headers=headers).status_code == 422
    assert http.post(ADDRESS, json=spec_over(paper_parents), headers=headers).status_code == 201


def test_many_at_once_make_one_experiment(http: TestClient, paper_parents: Parents) -> None:
    def send(_: int) -> tuple[int, str]:
        answer = http.post(ADDRESS, json=spec_over(paper_parents), headers={"Idempotency-Key": "k1"})
        return answer.status_code, answer.json().get("id")

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(send, range(6)))
    assert len(answers) == 1
    assert answers.pop()[0] == 201


@pytest.mark.parametrize("key", [b"x" * 10_000, b"two words", "é".encode(), b""])
def test_keys_are_short_and_plain(http: TestClient, paper_parents: Parents, key: bytes) -> None:
    answer = http.post(ADDRESS, json=spec_over(paper_parents), headers={b"Idempotency-Key": key})
    assert answer.status_code == 422


def test_exports_are_asked_for_once(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents, tmp_path: Path
) -> None:
    steps.create(spec_over(paper_parents))
    steps.wait("small", "succeeded")
    address, headers = f"{ADDRESS}/small/exports", {"Idempotency-Key": "k1"}
    first = steps.http.post(address, json={"target": str(tmp_path / "out")}, headers=headers)
    steps.exported(first.json()["id"])
    again = steps.http.post(address, json={"target": str(tmp_path / "out")}, headers=headers)
    assert again.json() == first.json()
    assert len(steps.get("/api/v1/exports")["items"]) == 1


def test_cancelling_again_with_the_same_key_gives_the_first_answer(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    steps.create(spec_over(paper_parents))
    address = f"{ADDRESS}/small/cancel"
    first = steps.http.post(address, headers={"Idempotency-Key": "once"})
    workforce.gate.set()
    steps.wait("small", "cancelled")
    again = steps.http.post(address, headers={"Idempotency-Key": "once"})
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert "Idempotency-Replayed" not in steps.http.post(address).headers


def test_keys_are_forgotten_after_a_day(sqlite_database: Database) -> None:
    with sqlite_database.session() as session:
        Repository(session).remember_answer("old", digest="d", status=201, body={})
        session.execute(text("UPDATE idempotency_keys SET created_at = '2020-01-01 00:00:00.000000'"))
    with sqlite_database.session() as session:
        repository = Repository(session)
        assert repository.answer_given("old") is None
    with sqlite_database.session() as session:
        Repository(session).remember_answer("new", digest="d", status=201, body={})
        assert session.scalar(text("SELECT count(*) FROM idempotency_keys")) == 1
