"""Keys with roles: what each opens, and what is left of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from service.client.client import ApiError, Client
from service.store.access.role import Role
from service.web.access import keyring
from service.web.access.keyring import REMEMBERED_SECONDS, Keyring
from service.web.access.roles import ALLOWED, Access, access_to
from service.web.api import event_tail
from service.web.app import create_app
from tests.service.running import ControlledWorkforce, serving, settings_in, spec_over

ADMIN_KEY = "correct horse battery staple"
A = Access
MATRIX = {
    "getHealth": A.NOTHING,
    "getReadiness": A.MONITOR,
    "getVersion": A.MONITOR,
    "getMetrics": A.MONITOR,
    "listExperiments": A.LOOK,
    "getExperiment": A.LOOK,
    "listCandidates": A.LOOK,
    "getCandidate": A.LOOK,
    "getRecipe": A.LOOK,
    "getLineage": A.LOOK,
    "getArchive": A.LOOK,
    "getFront": A.LOOK,
    "listQueue": A.LOOK,
    "getMe": A.LOOK,
    "getProgress": A.LOOK,
    "getImportances": A.LOOK,
    "getConfig": A.LOOK,
    "listSamples": A.LOOK,
    "listMethods": A.LOOK,
    "inspectModel": A.LOOK,
    "listWorkers": A.LOOK,
    "listEvents": A.LOOK,
    "streamEvents": A.LOOK,
    "listExports": A.LOOK,
    "listTasks": A.LOOK,
    "getTask": A.LOOK,
    "getExport": A.LOOK,
    "validateExperiment": A.CHANGE,  # it makes the service read models and tasks
    "createExperiment": A.CHANGE,
    "describeExperiment": A.CHANGE,
    "cloneExperiment": A.CHANGE,
    "pauseExperiment": A.CHANGE,
    "resumeExperiment": A.CHANGE,
    "cancelExperiment": A.CHANGE,
    "stopExperiment": A.CHANGE,
    "widenExperiment": A.CHANGE,
    "undeleteExperiment": A.CHANGE,
    "enqueueRecipe": A.CHANGE,
    "retryCandidate": A.CHANGE,
    "reevaluateCandidate": A.CHANGE,
    "askSamples": A.CHANGE,
    "tryCandidate": A.CHANGE,  # it occupies a worker
    "extendExperiment": A.CHANGE,
    "deleteExperiment": A.CHANGE,
    "previewExport": A.CHANGE,
    "createExport": A.CHANGE,
    "cancelExport": A.CHANGE,
    "createKey": A.ADMINISTER,
    "listKeys": A.ADMINISTER,
    "revokeKey": A.ADMINISTER,
    "listAudit": A.ADMINISTER,
}
"""What every operation takes.  A new one must be added here, with thought."""
ONE_OF_EACH = {
    A.NOTHING: ("GET", "/healthz"),
    A.MONITOR: ("GET", "/version"),
    A.LOOK: ("GET", "/api/v1/experiments"),
    A.CHANGE: ("POST", "/api/v1/experiments/none/pause"),
    A.ADMINISTER: ("GET", "/api/v1/keys"),
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[TestClient]:
    settings = settings_in(home, host="0.0.0.0", api_key=ADMIN_KEY)
    with TestClient(
        create_app(settings, workforce=ControlledWorkforce()), base_url="http://localhost"
    ) as http:
        yield http


@pytest.fixture(scope="module")
def keys(service: TestClient) -> dict[Role, str]:
    """A key of every role."""
    return {role: make(service, f"a-{role}", role=role)["key"] for role in Role}


def make(service: TestClient, name: str, **fields: Any) -> dict[str, Any]:
    answer = service.post("/api/v1/keys", json={"name": name} | fields, headers=bearer(ADMIN_KEY))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_what_every_operation_takes_is_decided(service: TestClient) -> None:
    paths = service.get("/openapi.json", headers=bearer(ADMIN_KEY)).json()["paths"]
    found = {
        operation["operationId"]: access_to(method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert found == MATRIX


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("access", list(Access))
def test_a_key_opens_what_its_role_may_and_nothing_else(
    service: TestClient, keys: dict[Role, str], role: Role, access: Access
) -> None:
    method, path = ONE_OF_EACH[access]
    answer = service.request(method, path, headers=bearer(keys[role]))
    assert answer.status_code != 401
    assert (answer.status_code == 403) is (access not in ALLOWED[role])
    if answer.status_code == 403:
        assert answer.json()["code"] == "forbidden"
        assert f"a {role}'s" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/api/v1/keys/", "/api/v1/keys/x", "/api/v1/audit"])
def test_no_spelling_of_an_address_opens_more(service: TestClient, keys: dict[Role, str], path: str) -> None:
    for method in ("GET", "DELETE", "PUT"):
        answer = service.request(method, path, headers=bearer(keys[Role.OPERATOR]))
        assert answer.status_code == 403


def test_pages_are_for_those_who_may_look(service: TestClient, keys: dict[Role, str]) -> None:
    assert service.get("/", headers=bearer(keys[Role.VIEWER])).status_code == 200
    assert service.get("/", headers=bearer(keys[Role.WORKER])).status_code == 403


def test_a_key_is_shown_once_and_stored_as_a_hash(service: TestClient, home: Path) -> None:
    made = make(service, "shown-once", role="operator", days=30)
    listed = service.get("/api/v1/keys", headers=bearer(ADMIN_KEY))
    assert made["key"] not in listed.text
    (entry,) = [one for one in listed.json()["items"] if one["name"] == "shown-once"]
    assert (entry["role"], entry["beginning"]) == ("operator", made["key"][:8])
    until = datetime.fromisoformat(entry["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < until <= timedelta(days=30)
    dump = "\n".join(sqlite3.connect(home / "evomerge.db").iterdump())
    assert made["beginning"] in dump
    assert made["key"] not in dump


def test_a_key_says_whose_it_is(service: TestClient, keys: dict[Role, str]) -> None:
    found = service.get("/api/v1/me", headers=bearer(keys[Role.OPERATOR])).json()
    assert found == {"name": "a-operator", "role": "operator"}
    assert service.get("/api/v1/me", headers=bearer(ADMIN_KEY)).json()["role"] == "admin"


def test_a_name_is_taken_once(service: TestClient) -> None:
    make(service, "taken")
    answer = service.post("/api/v1/keys", json={"name": "taken"}, headers=bearer(ADMIN_KEY))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_revoked_key_opens_nothing_once_it_is_forgotten(home: Path, service: TestClient) -> None:
    made = make(service, "revoked")
    clock = [0.0]
    database = service.app.state.services.database  # type: ignore[attr-defined]
    ring = Keyring(ADMIN_KEY, lambda: database, clock=lambda: clock[0])
    given = made["key"].encode()
    assert ring.at_once(given) is None
    assert ring.look_up(given) == ring.at_once(given) is not None
    assert service.delete("/api/v1/keys/revoked", headers=bearer(ADMIN_KEY)).json()["revoked_at"]
    clock[0] += REMEMBERED_SECONDS
    assert ring.at_once(given) is None
    assert ring.look_up(given) is None
    assert service.delete("/api/v1/keys/none", headers=bearer(ADMIN_KEY)).status_code == 404


def test_an_expired_key_opens_nothing(service: TestClient) -> None:
    made = make(service, "brief", days=1e-9)
    assert service.get("/version", headers=bearer(made["key"])).status_code == 401


def test_when_a_key_was_used_last_is_shown(service: TestClient, keys: dict[Role, str]) -> None:
    service.get("/version", headers=bearer(keys[Role.WORKER]))
    items = service.get("/api/v1/keys", headers=bearer(ADMIN_KEY)).json()["items"]
    used = {item["name"]: item["last_used_at"] for item in items}
    assert used["a-worker"] is not None
    make(service, "unused")
    items = service.get("/api/v1/keys", headers=bearer(ADMIN_KEY)).json()["items"]
    assert {item["name"]: item["last_used_at"] for item in items}["unused"] is None


def test_the_audit_log_names_the_key_of_every_change_and_of_what_was_refused(
    service: TestClient, keys: dict[Role, str]
) -> None:
    service.post("/api/v1/experiments/nowhere/pause", headers=bearer(keys[Role.OPERATOR]))
    service.post("/api/v1/experiments/nowhere/cancel", headers=bearer(keys[Role.VIEWER]))
    service.get("/api/v1/experiments", headers=bearer(keys[Role.VIEWER]))
    page = service.get("/api/v1/audit?page_size=2", headers=bearer(ADMIN_KEY)).json()
    found = [(one["key"], one["method"], one["path"], one["status"]) for one in page["items"]]
    assert found == [
        ("a-viewer", "POST", "/api/v1/experiments/nowhere/cancel", 403),
        ("a-operator", "POST", "/api/v1/experiments/nowhere/pause", 404),
    ]
    token = page["next_page_token"]
    older = service.get(f"/api/v1/audit?page_token={token}", headers=bearer(ADMIN_KEY)).json()["items"]
    assert older[0]["id"] < page["items"][-1]["id"]


def test_on_loopback_without_a_key_everything_is_open_and_a_role_key_narrows_it(tmp_path: Path) -> None:
    with TestClient(
        create_app(settings_in(tmp_path), workforce=ControlledWorkforce()), base_url="http://localhost"
    ) as http:
        made = http.post("/api/v1/keys", json={"name": "narrow", "role": "viewer"}).json()
        assert http.get("/api/v1/keys").status_code == 200
        assert http.get("/api/v1/keys", headers=bearer("unknown")).status_code == 200
        assert http.get("/api/v1/keys", headers=bearer(made["key"])).status_code == 403
        items = http.get("/api/v1/audit").json()["items"]
        assert [(one["key"], one["status"]) for one in items] == [("this machine", 201)]


def test_a_revoked_key_ends_the_streams_that_it_opened(
    tmp_path: Path, paper_parents: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_tail, "ASK_AGAIN", 0.2)
    monkeypatch.setattr(keyring, "REMEMBERED_SECONDS", 0.1)
    workforce = ControlledWorkforce()
    workforce.gate.clear()
    with serving(tmp_path / "home", workforce, api_key=ADMIN_KEY) as url:
        admin = Client(url, ADMIN_KEY)
        admin.create(spec_over(paper_parents))
        key = admin.create_key("listener", "viewer").key
        address = f"{url}/api/v1/experiments/small/events/stream"
        with httpx.stream("GET", address, headers={"Authorization": f"Bearer {key}"}, timeout=30) as stream:
            lines = stream.iter_lines()
            assert any(line.startswith("data:") for line in lines)
            admin.revoke_key("listener")
            assert not any("stream.ended" in line for line in lines)  # which comes to an end, without a word
        with pytest.raises(ApiError, match="opens nothing"):
            next(Client(url, key).follow("small"))
        workforce.gate.set()
