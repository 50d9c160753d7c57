"""The whole way in a browser: submit, watch, choose, compare, try, export; by mouse, finger and keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Locator, Page, expect

from tests.service.running import ControlledWorkforce
from tests.service.small_experiments import small_content
from tests.service.web.dashboard.conftest import PATIENCE
from tests.service.web.dashboard.served import Served, find_browser, served_in
from tests.service.web.dashboard.watched import Watched

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium here; scripts/install_browser.sh installs one"
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served_in(tmp_path, workforce=ControlledWorkforce()) as running:
        yield running


class Hand:
    """Clicks or taps what it is shown."""

    def __init__(self, view: Page, *, touch: bool) -> None:
        self.view, self.touch = view, touch

    def press(self, what: Locator) -> None:
        """Presses a button, a link or a box."""
        if self.touch:
            what.tap()
        else:
            what.click()

    def go(self, title: str) -> None:
        """Goes to a page of the experiment by the rail."""
        self.press(self.view.get_by_role("navigation", name="Pages of this").get_by_role("link", name=title))


@pytest.mark.parametrize("width", [1440, pytest.param(360, marks=pytest.mark.slow)])
def test_by_mouse_at_a_desk_and_by_finger_on_a_phone(
    browser: Browser, service: Served, paper_parents: dict[str, Path], tmp_path: Path, width: int
) -> None:
    touch = width < 500
    window = browser.new_context(viewport={"width": width, "height": 800}, has_touch=touch, is_mobile=touch)
    window.set_default_timeout(PATIENCE)
    page = Watched(window.new_page(), service.url)
    view = page.open("/")
    hand = Hand(view, touch=touch)

    view.goto(f"{service.url}/new")
    view.get_by_role("textbox", name="Experiment as YAML").fill(text_over(paper_parents))
    expect(view.get_by_role("button", name="Create")).to_be_enabled()
    hand.press(view.get_by_role("button", name="Create"))
    expect(view.locator("h1 .badge")).to_have_text("finished")
    expect(view.locator("#verdict")).to_contain_text("on items that the search never saw")

    hand.go("Candidates")
    boxes = view.locator("#candidate-table input[data-select]")
    hand.press(boxes.nth(0))
    hand.press(boxes.nth(1))
    hand.press(view.get_by_role("region", name="Chosen candidates").get_by_role("link", name="Compare"))
    expect(view.locator("#pairs caption")).to_contain_text("against the others")

    hand.go("Try it")
    view.get_by_role("textbox", name="Prompt").fill("How many are left?")
    hand.press(view.get_by_role("button", name="Ask", exact=True))
    answers = view.locator(".answer")
    expect(answers.first).to_contain_text("says 4")
    assert answers.count() > 2  # the candidate's, and its parents'
    expect(answers.first).to_contain_text("tokens")

    hand.go("Export")
    view.get_by_label("Target").fill(str(tmp_path / "out"))
    hand.press(view.get_by_role("button", name="Export", exact=True))
    expect(view.locator("#exports")).to_contain_text("succeeded")
    window.close()
    assert page.complaints == []
    assert page.foreign_requests == []
    assert (tmp_path / "out" / "README.md").is_file()


@pytest.mark.slow
def test_by_keyboard_alone(
    browser: Browser, service: Served, paper_parents: dict[str, Path], tmp_path: Path
) -> None:
    window = browser.new_context(viewport={"width": 1440, "height": 900})
    window.set_default_timeout(PATIENCE)
    page = Watched(window.new_page(), service.url)
    view = page.open("/")
    keys = view.keyboard

    palette(view, "new exp")
    expect(view.get_by_role("heading", level=1)).to_contain_text("New experiment")
    view.get_by_role("textbox", name="Experiment as YAML").focus()
    keys.press("Control+A")
    keys.insert_text(text_over(paper_parents))
    expect(view.get_by_role("button", name="Create")).to_be_enabled()
    tab_to(view, "Create")
    keys.press("Enter")
    expect(view.locator("h1 .badge")).to_have_text("finished")

    palette(view, "candidates")
    expect(view.locator("#candidate-table")).to_be_visible()
    expect(view.locator("#live")).to_have_text("ended")
    for key in ("j", "x", "j", "x", "c"):
        keys.press(key)
    expect(view.locator("#pairs caption")).to_contain_text("against the others")
    expect(view.locator("#live")).to_have_text("ended")

    palette(view, "Try it")
    expect(view.locator("#try")).to_be_visible()
    tab_to(view, "Prompt")
    keys.type("How many are left?")
    tab_to(view, "Ask")
    keys.press("Enter")
    expect(view.locator(".answer").first).to_contain_text("says 4")

    keys.press("e")
    expect(view.get_by_role("button", name="Export", exact=True)).to_be_visible()
    tab_to(view, "Target")
    keys.type(str(tmp_path / "out"))
    keys.press("Enter")
    expect(view.locator("#exports")).to_contain_text("succeeded")
    window.close()
    assert page.complaints == []


def text_over(parents: dict[str, Path]) -> str:
    """The YAML of a search that is over in a moment."""
    return yaml.safe_dump(small_content(parents) | {"budget": {"candidates": 12}}, sort_keys=False)


def palette(view: Page, words: str) -> None:
    """Goes where the palette leads by some letters."""
    expect(view.locator("#palette")).to_be_attached()
    view.keyboard.press("Control+k")
    expect(view.locator("#palette input")).to_be_focused()
    view.keyboard.type(words)
    expect(view.locator("#palette li[aria-selected=true]")).to_contain_text(re.compile(words, re.IGNORECASE))
    view.keyboard.press("Enter")


def tab_to(view: Page, name: str) -> None:
    """Presses the tabulator until something of this name has the focus."""
    label = (
        "(e => (e.labels?.[0]?.textContent ?? e.getAttribute('aria-label') ?? e.textContent).trim())"
        "(document.activeElement)"
    )
    for _ in range(80):
        view.keyboard.press("Tab")
        if view.evaluate(label).startswith(name):
            return
    raise AssertionError(f"the tabulator never reaches {name}")
