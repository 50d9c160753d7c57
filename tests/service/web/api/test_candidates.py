from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.service.running import ControlledWorkforce, Steps, spec_over
from tests.service.scripted_workforce import NAN, Mishap

BASE = "/api/v1/experiments/small"


def test_pages_of_candidates_hold_each_once(finished: TestClient) -> None:
    numbers: list[int] = []
    token = ""
    while token is not None:
        page = finished.get(
            f"{BASE}/candidates?page_size=5" + (f"&page_token={token}" if token else "")
        ).json()
        numbers += [item["number"] for item in page["items"]]
        token = page["next_page_token"]
    assert numbers == list(range(12))


def test_candidates_are_filtered_by_status(finished: TestClient) -> None:
    assert len(finished.get(f"{BASE}/candidates?status=scored").json()["items"]) == 12
    assert finished.get(f"{BASE}/candidates?status=failed").json()["items"] == []


def test_the_table_has_a_row_per_candidate_and_a_column_per_score_and_gene(finished: TestClient) -> None:
    answer = finished.get(f"{BASE}/candidates?page_size=1", headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 12
    assert rows[0]["label"] == "parent: left"
    detail = finished.get(f"{BASE}/candidates/7").json()
    assert float(rows[7]["search:words"]) == detail["scores"]["search"][0]["value"]
    gene = "weight of left (group 0)"
    assert float(rows[7][f"gene:{gene}"]) == detail["genome"][gene]


def test_a_table_cell_is_never_a_formula(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    recipe = (
        f"merge_method: passthrough\nmodels: [{{model: {paper_parents['left']}, parameters: {{scale: 2}}}}]"
    )
    baselines = {"standard_recipes": False, "recipes": {"=HYPERLINK(1)": recipe}}
    steps.create(spec_over(paper_parents, baselines=baselines))
    steps.wait("small", "succeeded")
    table = steps.http.get(f"{BASE}/candidates", headers={"Accept": "text/csv"}).text
    assert "'=HYPERLINK(1)" in table
    assert ",=HYPERLINK(1)" not in table


def test_a_candidate_has_a_recipe_that_reads_back(finished: TestClient) -> None:
    detail = finished.get(f"{BASE}/candidates/7").json()
    answer = finished.get(f"{BASE}/candidates/7/recipe")
    assert answer.headers["Content-Type"].startswith("application/yaml")
    assert answer.text == detail["recipe"]
    assert read_recipe(answer.text).digest == detail["digest"]


def test_failed_candidates_tell_cause_and_remedy(
    steps: Steps, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    workforce.script = {5: Mishap("out_of_memory"), 6: NAN}
    steps.create(spec_over(paper_parents))
    assert steps.wait("small", "succeeded")["progress"]["counts"] == {"scored": 10, "failed": 2}
    failed = steps.get(f"{BASE}/candidates?status=failed")["items"]
    assert [item["failure"]["code"] for item in failed] == ["out_of_memory", "bad_score"]
    assert all(item["failure"]["remedy"] for item in failed)


@pytest.mark.parametrize("split", ["search", "test"])
def test_nothing_on_the_front_is_dominated(finished: TestClient, split: str) -> None:
    front = finished.get(f"{BASE}/front?split={split}").json()

    def values(point: dict[str, dict[str, list[dict[str, float]]]]) -> list[float]:
        return [score["value"] for score in point["scores"][split]]

    everyone = [values(p) for p in (*front["front"], *front["dominated"], *front["baselines"])]
    for point in front["front"]:
        mine = values(point)
        assert not any(
            all(o >= m for o, m in zip(other, mine, strict=True)) and other != mine for other in everyone
        )
    assert front["hypervolume"] > 0


def test_the_search_front_is_the_one_that_the_run_reported(finished: TestClient) -> None:
    front = finished.get(f"{BASE}/front").json()
    progress = finished.get(BASE).json()["progress"]
    assert front["hypervolume"] == pytest.approx(progress["hypervolume"][-1]["hypervolume"])
    assert front["reference"] == progress["reference"]
    shown = {c["number"] for c in finished.get(f"{BASE}/candidates").json()["items"] if c["on_front"]}
    assert shown == {point["number"] for point in front["front"]}


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("candidates/99", 404),
        ("candidates/99999999999999999999", 422),
        ("candidates/-1", 422),
        ("candidates/seven", 422),
        ("candidates/99/recipe", 404),
        ("candidates?status=invalid", 422),
        ("candidates?page_size=0", 422),
        ("candidates?page_token=bm9uc2Vuc2U", 422),
        ("candidates?page_token=%2F%2F", 422),
        ("candidates?pagesize=1", 422),
        ("front?split=train", 422),
    ],
)
def test_what_makes_no_sense_is_a_problem(finished: TestClient, address: str, status: int) -> None:
    answer = finished.get(f"{BASE}/{address}")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    if status == 422:
        assert answer.json()["errors"]


def test_page_sizes_are_cut_to_a_thousand(finished: TestClient) -> None:
    assert finished.get(f"{BASE}/candidates?page_size=1000000000").status_code == 200
