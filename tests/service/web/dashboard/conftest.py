"""What the dashboard's tests share: views, a served dashboard, and a browser that watches itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served, find_browser, served_in
from tests.service.web.dashboard.watched import Watched

PATIENCE = 60_000  # milliseconds: the machine may be busy with other tests
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=find_browser(), args=BROWSER_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service on a free port."""
    with served_in(tmp_path_factory.mktemp("dashboard")) as service:
        yield service


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window of a laptop's size in light mode."""
    window = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    window.set_default_timeout(PATIENCE)
    yield window
    window.close()


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Watched]:
    """A page that must neither complain nor ask anyone but the service for anything."""
    watched = Watched(context.new_page(), served.url)
    yield watched
    assert watched.complaints == []
    assert watched.foreign_requests == []


@pytest.fixture
def phone(browser: Browser, served: Served) -> Iterator[Watched]:
    """The same, 360 pixels wide and touched."""
    window = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    window.set_default_timeout(PATIENCE)
    watched = Watched(window.new_page(), served.url)
    yield watched
    window.close()
    assert watched.complaints == []
    assert watched.foreign_requests == []


@pytest.fixture(scope="session")
def finished(served: Served) -> PlayedExperiment:
    """An experiment that is over, with a winner and a failed candidate; no test changes it."""
    experiment = PlayedExperiment(served.database, "finished", candidates=25)
    experiment.play_baselines()
    experiment.play(12)
    experiment.play(12)
    experiment.fail_one()
    experiment.examine()
    return experiment
