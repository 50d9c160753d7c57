"""Prompts that people put to candidates, through the interface, the client and the command line."""

from __future__ import annotations

from starlette.testclient import TestClient

from service.web.dependencies import MOST_PROMPTS

ADDRESS = "/api/v1/experiments/small/candidates/7/answers"


def test_a_candidate_and_its_parents_answer_a_prompt(finished: TestClient) -> None:
    found = finished.post(ADDRESS, json={"prompt": "2 + 2?"}).json()
    labels = [item["label"] for item in found["items"]]
    assert labels == ["candidate 7", "parent: left", "parent: right", "base: base"]
    assert found["items"][0]["text"] == "candidate 7 says 4"
    assert "2 + 2?" in found["items"][0]["prompt"]
    alone = finished.post(ADDRESS, json={"prompt": "2 + 2?", "parents": False}).json()
    assert [item["label"] for item in alone["items"]] == ["candidate 7"]


def test_answers_have_limits(finished: TestClient) -> None:
    for wanted in ({"max_tokens": 5000}, {"seconds": 1e6}, {"prompt": ""}, {"prompt": "a" * 30_000}):
        refused = finished.post(ADDRESS, json={"prompt": "2 + 2?"} | wanted)
        assert refused.status_code == 422, wanted


def test_only_a_few_prompts_may_wait_at_once(finished: TestClient) -> None:
    places = finished.app.state.services.prompts  # type: ignore[attr-defined]
    for _ in range(MOST_PROMPTS):
        assert places.acquire(blocking=False)
    try:
        refused = finished.post(ADDRESS, json={"prompt": "2 + 2?"})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_busy")
        assert int(refused.headers["Retry-After"]) > 0
    finally:
        for _ in range(MOST_PROMPTS):
            places.release()
    assert finished.post(ADDRESS, json={"prompt": "2 + 2?"}).status_code == 200


def test_answers_to_single_items_are_stored_with_their_prompts(finished: TestClient) -> None:
    address = "/api/v1/experiments/small/candidates/6/samples"
    assert finished.get(address).json()["items"] == []
    asked = finished.post(address, json={"split": "search", "count": 2}).json()
    assert [(item["benchmark"], item["item"]) for item in asked["items"]] == [
        ("sums", 0), ("sums", 1), ("words", 0), ("words", 1)
    ]  # fmt: skip
    assert asked["items"][0]["prompt"] == "Q0?"
    assert asked["items"][0]["value"] in (0.0, 1.0)
    assert finished.get(address).json() == asked


def test_the_sealed_test_split_is_shown_of_examined_candidates_alone(finished: TestClient) -> None:
    every = finished.get("/api/v1/experiments/small/candidates?page_size=100").json()["items"]
    unexamined = next(item["number"] for item in every if "test" not in item["scores"])
    refused = finished.post(
        f"/api/v1/experiments/small/candidates/{unexamined}/samples", json={"split": "test"}
    )
    assert (refused.status_code, "sealed" in refused.json()["detail"]) == (409, True)
