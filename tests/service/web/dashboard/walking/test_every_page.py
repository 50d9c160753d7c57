"""Every page of every kind of experiment in a browser: no complaint, nothing foreign, no barrier."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from service.web.dashboard.frame import PAGES
from tests.service.running import ControlledWorkforce
from tests.service.web.dashboard.served import Served, find_browser, served_in
from tests.service.web.dashboard.walking.kinds import KINDS, OFTEN
from tests.service.web.dashboard.watched import Watched

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium here; scripts/install_browser.sh installs one"
)
EACH = [kind if kind in OFTEN else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
SETTLING = 10.0  # seconds in which pictures follow the window
MORE = ("compare?sel=0,1", "inside?sel=0,1", "candidates?c=0", "front?x=-2")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in(tmp_path_factory.mktemp("walk"), workforce=ControlledWorkforce()) as running:
        yield running


def places(key: str, *, empty: bool) -> list[str]:
    more = () if empty else MORE
    return ["/", "/workers", "/settings", *(f"/e/{key}/{slug}".rstrip("/") for slug in (*PAGES, *more))]


def serious(view: Page) -> list[str]:
    """What axe finds that keeps people out."""
    results = Axe().run(view, options={"resultTypes": ["violations"]}).response
    grave = [found for found in results["violations"] if found["impact"] in ("serious", "critical")]
    return [f"{found['id']}: {found['nodes'][0]['html'][:150]}" for found in grave]


def width_on_a_phone(page: Watched) -> int:
    """How wide the page wants to be where there are 360 pixels, once pictures have followed."""
    page.page.set_viewport_size({"width": 360, "height": 740})
    end = monotonic() + SETTLING
    while (width := page.width_of_content()) != 360 and monotonic() < end:
        page.page.wait_for_timeout(50)
    page.page.set_viewport_size({"width": 1440, "height": 900})
    return width


@pytest.mark.parametrize("kind", EACH)
def test_no_page_complains_asks_others_or_scrolls_sideways(
    browser: Browser, service: Served, kind: str
) -> None:
    key = KINDS[kind](service)
    window = browser.new_context(viewport={"width": 1440, "height": 900})
    page = Watched(window.new_page(), service.url)
    found: dict[str, object] = {}
    for place in places(key, empty=kind == "empty"):
        page.complaints.clear()
        view = page.open(place)
        if "front" in place:
            page.wait_for("document.querySelector('#explorer:not([data-drawn])') === null", True)
        width = width_on_a_phone(page)
        if page.complaints or width != 360:
            found[place] = [*page.complaints, width]
        assert view.locator("main img[src=x]").count() == 0, place
    window.close()
    assert found == {}
    assert page.foreign_requests == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["six objectives, ended", "archive, running", "stacking", "failed", "empty"])
def test_no_page_of_any_kind_has_a_serious_barrier(
    browser: Browser, service: Served, kind: str, theme: str
) -> None:
    key = KINDS[kind](service)
    window = browser.new_context(color_scheme="dark" if theme == "dark" else "light")
    page = Watched(window.new_page(), service.url)
    found = {
        place: wrong for place in places(key, empty=kind == "empty") if (wrong := serious(page.open(place)))
    }
    window.close()
    assert found == {}
