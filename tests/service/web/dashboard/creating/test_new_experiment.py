"""A new experiment is typed, checked and created in the browser."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.service.running import ControlledWorkforce
from tests.service.small_experiments import add_experiment, small_spec
from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served, find_browser, served_in
from tests.service.web.dashboard.watched import Watched


@pytest.mark.skipif(
    find_browser() is None, reason="no Chromium here; scripts/install_browser.sh installs one"
)
def test_a_clone_is_mended_where_it_is_wrong_and_created(context: BrowserContext, tmp_path: Path) -> None:
    with served_in(tmp_path, workforce=ControlledWorkforce()) as service:
        row = add_experiment(service.database, small_spec(budget={"candidates": 8}))
        page = Watched(context.new_page(), service.url)
        view = page.open(f"/e/{row.id}")
        view.get_by_text("More", exact=True).click()
        view.get_by_role("link", name="Clone").click()
        text = view.get_by_role("textbox", name="Experiment as YAML")
        written = text.input_value()
        assert f"name: {row.name}-again" in written

        text.fill(written.replace("candidates", "candidtes"))
        mistakes = view.locator("#mistakes li")
        expect(mistakes).to_contain_text(["candidtes"])
        view.get_by_role("button", name="Write candidates").click()
        expect(mistakes).to_have_count(0)

        view.get_by_label("Seed").fill("9")
        view.get_by_label("Seed").press("Tab")
        assert "seed: 9" in text.input_value()
        view.get_by_role("button", name="Check everything").click()
        expect(view.locator("#verdict")).to_have_text(re.compile("can be created|cannot be created"))
        view.close()
    assert page.complaints == []
    assert page.foreign_requests == []


def test_a_clone_says_what_its_origin_said_and_leaves_defaults_out(
    served: Served, finished: PlayedExperiment
) -> None:
    client = httpx.Client(base_url=served.url)
    page = client.get("/new?from=finished").text

    assert "name: finished-again" in page
    assert "candidates: 25" in page
    assert "batch_size" not in page
    assert client.get("/new?from=unknown").status_code == 404
    assert client.post("/new/read", json={"text": "name: x"}).json()["mistakes"]
