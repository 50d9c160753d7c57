"""Lists that are filtered, sorted and cut down to some members, and tables of all rows."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tests.service.running import ControlledWorkforce, Steps, spec_over

SMALL = "/api/v1/experiments/small"
CANDIDATES = f"{SMALL}/candidates"


def numbers(http: TestClient, **query: str) -> list[int]:
    answer = http.get(CANDIDATES, params={"page_size": "100"} | query)
    assert answer.is_success, answer.text
    return [item["number"] for item in answer.json()["items"]]


def test_candidates_are_filtered_by_scores_kinds_and_methods(finished: TestClient) -> None:
    everyone = finished.get(f"{CANDIDATES}?page_size=100").json()["items"]
    words = {c["number"]: c["scores"]["search"][0]["value"] for c in everyone}
    middle = sorted(words.values())[6]
    found = numbers(finished, filter=f"objectives.words >= {middle} AND kind = evolved")
    assert found == [n for n, value in words.items() if value >= middle and n >= 4]
    assert numbers(finished, filter="(number < 2 OR number > 9) AND NOT number = 0") == [1, 10, 11]
    assert numbers(finished, filter='label:"parent"') == [0, 1]
    assert numbers(finished, filter="recipe.method = linear") == [3]
    front = numbers(finished, filter="on_front = true")
    assert front == [c["number"] for c in everyone if c["on_front"]]


@pytest.mark.parametrize("direction", ["", " desc"])
def test_a_sorted_list_goes_on_where_its_last_page_ended(finished: TestClient, direction: str) -> None:
    whole = numbers(finished, order_by=f"test.words{direction}")
    everyone = finished.get(f"{CANDIDATES}?page_size=100").json()["items"]
    tested = {c["number"]: c["scores"]["test"][0]["value"] for c in everyone if "test" in c["scores"]}
    values = [tested[number] for number in whole if number in tested]
    assert values == sorted(values, reverse=bool(direction))
    assert set(whole[: len(tested)]) == set(tested)  # those without a score come last
    paged, token = [], None
    while True:
        query = {"order_by": f"test.words{direction}", "page_size": "5"} | (
            {"page_token": token} if token else {}
        )
        page = finished.get(CANDIDATES, params=query).json()
        paged += [item["number"] for item in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert paged == whole


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"filter": "nothing = 1"}, "there are number, generation"),
        ({"filter": "number = many"}, "write a number"),
        ({"filter": "status = lost"}, "use one of proposed"),
        ({"filter": "number = 1 AND number = 2 OR number = 3"}, "parentheses"),
        ({"filter": "number ="}, "write it as"),
        ({"filter": "((((((((((((((((((((((((number = 1"}, "fewer"),
        ({"order_by": "number sideways"}, "desc"),
        ({"order_by": "on_front"}, "another field"),
        ({"fields": "number,nothing"}, "there are number"),
        ({"order_by": "number", "page_token": "MTI"}, "next_page_token"),
    ],
)
def test_a_selection_that_says_nothing_is_refused(
    finished: TestClient, query: dict[str, str], told: str
) -> None:
    refused = finished.get(CANDIDATES, params=query)
    assert refused.status_code == 422, refused.text
    assert told in refused.json()["hint"]


def test_items_hold_the_members_that_are_wanted(finished: TestClient) -> None:
    page = finished.get(f"{CANDIDATES}?fields=number,status&page_size=1").json()
    assert page["items"] == [{"number": 0, "status": "scored"}]
    page = finished.get("/api/v1/experiments?fields=name").json()
    assert page["items"] == [{"name": "small"}]


def test_all_rows_come_as_lines_of_json_and_as_a_typed_table(finished: TestClient) -> None:
    lines = finished.get(f"{CANDIDATES}?format=ndjson").text.splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(12))
    assert json.loads(lines[7]) == finished.get(CANDIDATES).json()["items"][7]
    answer = finished.get(CANDIDATES, headers={"Accept": "application/vnd.apache.parquet"})
    table = pq.read_table(io.BytesIO(answer.content))
    assert table["number"].to_pylist() == list(range(12))
    assert str(table.schema.field("search:words").type) == "double"
    some = finished.get(f"{CANDIDATES}?format=parquet&filter=number > 8")
    assert pq.read_table(io.BytesIO(some.content)).num_rows == 3


def test_experiments_are_filtered_and_sorted(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    for name in ("a", "b", "c"):
        steps.create(spec_over(paper_parents, name=name))
    steps.http.patch("/api/v1/experiments/b", json={"tags": ["größer", "paper"], "starred": True})

    def names(**query: str) -> list[str]:
        answer = steps.http.get("/api/v1/experiments", params=query)
        assert answer.is_success, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert names(filter='tags:"größer"') == names(filter="starred = true") == ["b"]
    assert names(order_by="name") == ["a", "b", "c"]
    assert names(order_by="created_at desc") == ["c", "b", "a"]
    first = steps.http.get("/api/v1/experiments?order_by=created_at&page_size=2").json()
    assert [item["name"] for item in first["items"]] == ["a", "b"]
    assert names(order_by="created_at", page_token=first["next_page_token"]) == ["c"]


def test_an_answer_that_has_not_changed_is_not_sent_again(finished: TestClient) -> None:
    first = finished.get(SMALL)
    again = finished.get(SMALL, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    page = finished.get(CANDIDATES)
    assert finished.get(CANDIDATES, headers={"If-None-Match": page.headers["ETag"]}).status_code == 304
    assert again.headers["ETag"] == first.headers["ETag"]
    assert finished.get(SMALL, headers={"If-None-Match": '"another"'}).status_code == 200
    assert "ETag" not in finished.get("/healthz").headers


def test_what_was_changed_meanwhile_is_not_changed_again(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    steps.create(spec_over(paper_parents))
    seen = {"If-Match": steps.http.get(SMALL).headers["ETag"]}
    steps.wait("small", "succeeded")  # which is no change of people's
    assert steps.http.patch(SMALL, json={"notes": "first"}, headers=seen).status_code == 200
    refused = steps.http.patch(SMALL, json={"notes": "second"}, headers=seen)
    assert (refused.status_code, refused.json()["code"]) == (412, "changed_meanwhile")
    assert steps.http.patch(SMALL, json={"notes": "third"}, headers={"If-Match": "*"}).status_code == 200
