"""Settings are an admin's: keys are made and revoked there, and others' pages do not lead to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.service.running import ControlledWorkforce, serving
from tests.service.web.dashboard.served import find_browser
from tests.service.web.dashboard.watched import Watched

ADMIN_KEY = "a-long-text-that-opens-everything"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("keys"), ControlledWorkforce(), api_key=ADMIN_KEY) as address:
        yield address


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_viewer_sees_no_buttons_that_change_and_no_way_to_the_settings(url: str) -> None:
    with httpx.Client(base_url=url, headers=bearer(ADMIN_KEY)) as admin:
        made = admin.post("/api/v1/keys", json={"name": "reader", "role": "viewer"}).json()["key"]
        assert "/settings" in admin.get("/").text
        assert "New experiment" in admin.get("/").text
        settings = admin.get("/settings")
        assert settings.status_code == 200
        assert ADMIN_KEY not in settings.text

    with httpx.Client(base_url=url, headers=bearer(made)) as viewer:
        page = viewer.get("/").text
        assert "/settings" not in page
        assert "New experiment" not in page
        assert viewer.get("/settings").status_code == 403
        assert viewer.get("/workers").status_code == 200


@pytest.mark.skipif(find_browser() is None, reason="no Chromium here")
def test_an_admin_makes_a_key_sees_it_once_and_revokes_it(browser: Browser, url: str) -> None:
    window = browser.new_context(http_credentials={"username": "admin", "password": ADMIN_KEY})
    page = Watched(window.new_page(), url)
    view = page.open("/settings")
    page.complaints.clear()  # the browser first asks without a key

    view.get_by_label("Name").fill("grafana")
    view.get_by_label("Role").select_option("viewer")
    view.get_by_role("button", name="Make key").click()

    expect(view.locator("#new-key code")).to_contain_text("em_")
    key = view.locator("#new-key code").inner_text()
    row = view.get_by_role("row", name="grafana")
    expect(row).to_contain_text("viewer")
    assert httpx.get(f"{url}/", headers=bearer(key)).status_code == 200
    view.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")
    view.reload()
    assert key not in view.content()
    expect(view.locator("#audit")).to_contain_text("/api/v1/keys/grafana")
    window.close()
    assert page.complaints == []


def test_who_has_which_workers_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, ControlledWorkforce()) as address:
        page = httpx.get(f"{address}/workers").text
    assert "Nothing runs" in page
    assert "cores" in page
