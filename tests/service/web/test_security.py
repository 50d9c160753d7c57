from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError
from starlette.testclient import TestClient

from service.settings import Settings, url_of
from service.web.access.guesses import MOST_GUESSES, Guesses
from service.web.app import create_app
from service.web.security import host_name
from tests.service.running import ControlledWorkforce, settings_in

KEY = "correct horse battery staple"


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = settings_in(tmp_path_factory.mktemp("open"), allowed_hosts=("evomerge.example",))
    with TestClient(
        create_app(settings, workforce=ControlledWorkforce()), base_url="http://localhost:8000"
    ) as http:
        yield http


@pytest.fixture(scope="module")
def locked_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = settings_in(tmp_path_factory.mktemp("locked"), host="0.0.0.0", api_key=KEY)
    with TestClient(
        create_app(settings, workforce=ControlledWorkforce()), base_url="http://localhost:8000"
    ) as http:
        yield http


@pytest.mark.parametrize(
    "host",
    ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST", "evomerge.example", "evomerge.example:443"],
)
def test_the_service_answers_to_its_own_names(open_service: TestClient, host: str) -> None:
    assert open_service.get("/version", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/version", "/healthz", "/api/v1/experiments", "/nowhere"])
@pytest.mark.parametrize("host", ["evil.test", "localhost.evil.test", "", "127.0.0.1.nip.io:8000", "[::2]"])
def test_a_page_that_rebinds_its_name_reads_nothing(open_service: TestClient, host: str, path: str) -> None:
    answer = open_service.get(path, headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost:8000.evil.test"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_foreign_page_changes_nothing(open_service: TestClient, headers: dict[str, str]) -> None:
    answer = open_service.post("/api/v1/experiments/x/cancel", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://localhost:8000"}, {"Sec-Fetch-Site": "same-origin"}]
)
def test_the_dashboard_and_programs_change_things(open_service: TestClient, headers: dict[str, str]) -> None:
    assert open_service.post("/api/v1/experiments/x/cancel", headers=headers).status_code == 404


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer wrong",
        f"Bearer {KEY}x".encode(),
        b"Bearer",
        KEY.encode(),
        basic("wrong").encode(),
        b"Basic !!!",
        "Bearer clé".encode(),
    ],
)
@pytest.mark.parametrize(
    "path", ["/", "/version", "/api/v1/experiments", "/static/x/y", "/openapi.json", "/docs"]
)
def test_without_the_key_nothing_is_shown(
    locked_service: TestClient, authorization: bytes, path: str
) -> None:
    headers = {b"Authorization": authorization} if authorization else {}
    # Each from an address of its own: wrong keys are counted.
    someone = TestClient(locked_service.app, client=(uuid4().hex, 1), base_url="http://localhost:8000")
    answer = someone.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("authorization", [f"Bearer {KEY}", f"bearer {KEY}", basic(KEY)])
def test_the_key_opens_everything(locked_service: TestClient, authorization: str) -> None:
    for path in ("/", "/version", "/api/v1/experiments"):
        assert locked_service.get(path, headers={"Authorization": authorization}).status_code == 200


def test_supervisors_need_no_key(locked_service: TestClient) -> None:
    assert locked_service.get("/healthz").json() == {"status": "ok"}


def test_the_key_is_never_logged(locked_service: TestClient, capfd: pytest.CaptureFixture[str]) -> None:
    for authorization in (f"Bearer {KEY}", basic(KEY), f"Bearer {KEY}x"):
        locked_service.get("/api/v1/experiments/unknown", headers={"Authorization": authorization})
    said = capfd.readouterr()
    assert KEY not in said.out + said.err
    assert KEY not in repr(locked_service.app)


@pytest.mark.parametrize("path", ["/", "/version", "/nowhere", "/docs", "/openapi.json"])
def test_every_answer_has_the_security_headers(open_service: TestClient, path: str) -> None:
    headers = open_service.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert len(headers["X-Request-ID"]) == 32


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:80", "localhost"),
        ("[::1]:80", "::1"),
        ("::1", "::1"),
        ("A.B", "a.b"),
        ("1.2.3.4:5", "1.2.3.4"),
    ],
)
def test_a_host_is_compared_without_its_port(header: str, name: str) -> None:
    assert host_name(header) == name


def test_the_address_is_one_that_a_browser_here_can_open(tmp_path: Path) -> None:
    assert url_of(Settings(home=tmp_path, port=8000)) == "http://127.0.0.1:8000"
    assert url_of(Settings(home=tmp_path, host="::1", port=8000)) == "http://[::1]:8000"
    assert url_of(Settings(home=tmp_path, host="0.0.0.0", api_key=KEY, port=1)) == "http://127.0.0.1:1"


@pytest.mark.parametrize("key", ["", "   ", "\t\n", " leading-blank-and-long-enough", "a\u200bb" * 10])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_key_that_says_nothing_is_an_error_and_not_an_open_door(
    tmp_path: Path, key: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOMERGE_API_KEY", key)
    with pytest.raises(ValidationError, match="EVOMERGE_API_KEY to a long random text"):
        Settings(home=tmp_path, host=host)


@pytest.mark.parametrize(("host", "length", "accepted"), [
    ("0.0.0.0", 19, False), ("0.0.0.0", 20, True), ("::", 1, False), ("evomerge.example", 19, False),
    ("127.0.0.1", 1, True), ("::1", 1, True), ("localhost", 1, True),
])  # fmt: skip
def test_keys_that_other_machines_can_try_have_twenty_characters(
    tmp_path: Path, host: str, length: int, accepted: bool
) -> None:
    def settings() -> Settings:
        return Settings(home=tmp_path, host=host, api_key=SecretStr("k" * length))

    if accepted:
        assert settings().api_key is not None
        return
    with pytest.raises(ValidationError, match=f"has {length} characters, fewer than 20"):
        settings()


def test_wrong_keys_are_throttled_and_requests_without_one_are_not(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, host="0.0.0.0", api_key=KEY)
    with TestClient(
        create_app(settings, workforce=ControlledWorkforce()), base_url="http://localhost"
    ) as http:
        wrong = [http.get("/version", headers={"Authorization": f"Bearer wrong {n}"}) for n in range(11)]
        assert [answer.status_code for answer in wrong] == [401] * 10 + [429]
        assert int(wrong[-1].headers["Retry-After"]) > 0
        assert http.get("/version", headers={"Authorization": f"Bearer {KEY}"}).status_code == 429
        assert http.get("/version").status_code == 401
        assert http.get("/healthz").status_code == 200


def test_guesses_are_forgotten_after_a_minute() -> None:
    moment = 0.0
    guesses = Guesses(lambda: moment)
    for _ in range(MOST_GUESSES):
        guesses.note("10.0.0.1")
    assert (guesses.wait("10.0.0.1"), guesses.wait("10.0.0.2")) == (60, 0)
    moment = 61.0
    assert guesses.wait("10.0.0.1") == 0
