from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from service.web.app import create_app
from tests.service.running import ControlledWorkforce, settings_in


def test_tasks_are_listed_page_by_page(http: TestClient, workforce: ControlledWorkforce) -> None:
    known = sorted(workforce.known_tasks)
    first = http.get("/api/v1/tasks", params={"page_size": 1}).json()
    second = http.get("/api/v1/tasks", params={"page_size": 1, "page_token": first["next_page_token"]}).json()
    assert [item["name"] for page in (first, second) for item in page["items"]] == known[:2]
    assert first["total_size"] == len(known)
    assert http.get("/api/v1/tasks", params={"search": known[0]}).json()["next_page_token"] is None


def test_a_task_is_shown_with_the_prompt_as_a_model_sees_it(
    http: TestClient, workforce: ControlledWorkforce
) -> None:
    name = min(workforce.known_tasks)
    shown = http.get(f"/api/v1/tasks/{name}").json()
    assert shown["example"]["prompt"] == "Which word?"
    assert shown["example"]["tokens"] is None
    asked = http.get(f"/api/v1/tasks/{name}", params={"model": "org/name"}).json()
    assert asked["example"]["tokens"] == 3


def test_an_unknown_task_is_not_found(http: TestClient) -> None:
    answer = http.get("/api/v1/tasks/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_task")


def test_models_outside_the_roots_are_not_read(tmp_path: Path, workforce: ControlledWorkforce) -> None:
    settings = settings_in(tmp_path / "home").model_copy(update={"model_roots": (tmp_path / "models",)})
    name = min(workforce.known_tasks)
    with TestClient(create_app(settings, workforce=workforce), base_url="http://localhost") as http:
        answer = http.get(f"/api/v1/tasks/{name}", params={"model": "/etc"})
        bad = http.get(f"/api/v1/tasks/{name}", params={"model": "@x"})
    assert answer.json()["errors"][0]["code"] == "not_allowed"
    assert bad.status_code == 422
