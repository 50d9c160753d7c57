"""The front's page in a browser: what is chosen in one picture is chosen in all, and kept in the address."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served, find_browser
from tests.service.web.dashboard.watched import Watched

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium here; scripts/install_browser.sh installs one"
)
DRAWN = "document.getElementById('explorer')?.dataset.drawn ?? null"


def opened(page: Watched, path: str, count: int) -> Page:
    view = page.open(path)
    page.wait_for(DRAWN, str(count))
    return view


def drag(view: Page, canvas: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drags over a canvas, from and to shares of its width and height."""
    view.locator(canvas).scroll_into_view_if_needed()
    box = view.locator(canvas).bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    view.mouse.move(*places[0])
    view.mouse.down()
    view.mouse.move(*places[1], steps=4)
    view.mouse.up()


def test_a_rectangle_in_the_picture_chooses_the_tables_rows_and_its_address_does_too(
    page: Watched, finished: PlayedExperiment
) -> None:
    view = opened(page, "/e/finished/front", 29)
    expect(view.locator("#count")).to_contain_text("of 29 scored candidates")

    drag(view, "#front", (0.5, 0.05), (0.98, 0.85))
    expect(view).to_have_url(re.compile(r"box="))
    chosen = view.locator("#count").inner_text()
    assert "of 29 chosen" in chosen
    opened(page, view.url.removeprefix(page.url), 29)
    expect(view.locator("#count")).to_have_text(chosen)
    view.get_by_role("button", name="Choose all again").click()
    expect(view).not_to_have_url(re.compile(r"box="))


def test_a_band_on_an_axis_and_the_button_choose_together(page: Watched, finished: PlayedExperiment) -> None:
    view = opened(page, "/e/finished/front", 29)

    view.get_by_role("button", name="Better than every parent").click()
    rows = view.locator("#selected tbody tr")
    better = rows.count()
    assert "parent" not in view.locator("#selected tbody").inner_text()
    width = view.locator("#parallel").evaluate("canvas => canvas.clientWidth")
    drag(view, "#parallel", (54 / width, 0.15), (54 / width, 0.5))

    expect(view).to_have_url(re.compile(r"b\.o0=.*better=mean|better=mean.*b\.o0="))
    assert 0 < rows.count() < better


def test_new_candidates_appear_without_fetching_the_old_ones_again(page: Watched, served: Served) -> None:
    growing = PlayedExperiment(served.database, "growing front", objectives=("one", "two", "three"))
    growing.play_baselines()
    growing.play(6)
    view = opened(page, f"/e/{growing.id}/front?z=2", 11)
    sizes: list[int] = []
    view.on("response", lambda r: sizes.append(len(r.body())) if "since=" in r.url and r.ok else None)

    growing.play(5)

    page.wait_for(DRAWN, "16")
    assert sizes
    expect(view.locator("#legend")).to_contain_text("parents")


def test_a_click_on_a_mark_opens_its_candidate_and_hovering_tells_its_recipe(
    page: Watched, finished: PlayedExperiment
) -> None:
    for _ in range(3):  # before the drawer's script has come, the link leads to the candidate's own page
        view = opened(page, "/e/finished/front?arrows=0&ellipses=0", 29)
        view.locator("#selected tbody tr a").first.click()
        dialog = view.get_by_role("dialog")
        with suppress(PlaywrightTimeoutError):
            dialog.wait_for(timeout=10_000)
            break
    expect(dialog).to_contain_text("Candidate")
    view.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    view.locator("#front").scroll_into_view_if_needed()
    box = view.locator("#front").bounding_box()
    assert box is not None
    # The parent that is best across and worst upwards: in the lower right corner, but for the margins.
    across, up = (
        62 + (box["width"] - 80) * 1.06 / 1.12,
        box["height"] - 46 - (box["height"] - 60) * 0.06 / 1.12,
    )
    view.mouse.move(box["x"] + across, box["y"] + up)
    expect(view.locator("#tip strong")).to_have_text("parent: maths")
    expect(view.locator("#tip .words")).to_contain_text("task_arithmetic")
