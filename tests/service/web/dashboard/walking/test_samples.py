"""Sample answers: an item's prompt and what the models make of it, reached from who solves what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.service.running import ControlledWorkforce
from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served, find_browser, served_in
from tests.service.web.dashboard.watched import Watched


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served_in(tmp_path, workforce=ControlledWorkforce()) as running:
        yield running


def test_items_are_asked_by_their_places_and_kept_beside_those_asked_before(service: Served) -> None:
    played = PlayedExperiment(service.database, "asked")
    played.play_baselines()
    played.play(6)
    address = f"{service.url}/api/v1/experiments/{played.id}/candidates/6/samples"

    first = httpx.post(address, json={"items": [7, 3], "objective": "arithmetic"}).json()["items"]
    assert [(one["benchmark"], one["item"]) for one in first] == [("arithmetic", 3), ("arithmetic", 7)]
    again = httpx.post(address, json={"items": [5], "objective": "arithmetic"}).json()["items"]
    assert [one["item"] for one in again] == [3, 5, 7]
    assert httpx.post(address, json={"objective": "unknown"}).status_code == 409
    page = httpx.get(f"{service.url}/e/{played.id}/samples?split=test&item=3").text
    assert "stay sealed" in page
    assert "<option>test" not in page


@pytest.mark.skipif(
    find_browser() is None, reason="no Chromium here; scripts/install_browser.sh installs one"
)
def test_an_item_that_was_lost_leads_to_its_prompt_and_answers(
    context: BrowserContext, service: Served
) -> None:
    played = PlayedExperiment(service.database, "examined")
    played.play_baselines()
    played.play(12)
    winner = played.examine()
    page = Watched(context.new_page(), service.url)
    view = page.open(f"/e/{played.id}/complementarity")

    view.get_by_text("Items lost").first.click()
    link = view.get_by_role("row").locator("a[href*='samples']:visible").first
    item = link.inner_text()
    link.click()

    expect(view.locator(".answer")).to_have_count(3)
    expect(view.locator(".answer").first).to_contain_text(f"candidate {winner}")
    expect(view.locator(".answer").first).to_contain_text("the likeliest")
    expect(view.locator("#answers h2")).to_contain_text(f"Item {item} of")
    view.get_by_role("button", name="Next item").click()
    expect(view.locator("#answers h2")).to_contain_text(f"Item {int(item) + 1} of")
    expect(view).to_have_url(re.compile(f"item={int(item) + 1}"))
    view.close()
    assert page.complaints == []
    assert page.foreign_requests == []
