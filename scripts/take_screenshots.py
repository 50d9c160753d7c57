"""Takes the README's pictures of an experiment from a running service.

Usage: python scripts/take_screenshots.py URL NAME OUT_DIR

Writes OUT_DIR/front.png and front-dark.png (the front with its legend), inside.png and
complementarity.png (the first screen of these pages).
A key in EVOMERGE_API_KEY is sent along.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

WIDTH, HEIGHT = 1200, 860
PAGES = {
    "/inside": "inside",
    "/complementarity": "complementarity",
}
DRAWN = "[...document.querySelectorAll('[data-figure]')].every((plot) => plot.data !== undefined)"
DRAWN += " && document.querySelector('#explorer:not([data-drawn])') === null"


def main() -> int:
    """Takes the pictures; returns the process's exit status."""
    if len(sys.argv) != 4:
        sys.stderr.write(__doc__ or "")
        return 2
    url, name, folder = sys.argv[1].rstrip("/"), sys.argv[2], Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("EVOMERGE_TEST_BROWSER") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        home = f"{url}/e/{quote(name, safe='')}"
        for theme, suffix in (("light", ""), ("dark", "-dark")):
            page = open_page(browser, f"{home}/front", theme=theme)
            page.locator("#explorer > section").first.screenshot(path=folder / f"front{suffix}.png")
            page.context.close()
        for slug, picture in PAGES.items():
            page = open_page(browser, home + slug, theme="light")
            page.screenshot(path=folder / f"{picture}.png")
            page.context.close()
        browser.close()
    return 0


def open_page(browser: Browser, address: str, *, theme: str) -> Page:
    """Opens an experiment's page at twice the pixels and waits until its figures are drawn."""
    key = os.environ.get("EVOMERGE_API_KEY")
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        device_scale_factor=2,
        color_scheme="dark" if theme == "dark" else "light",
        http_credentials={"username": "evomerge", "password": key} if key else None,
    )
    page = context.new_page()
    answer = page.goto(address)
    if answer is None or not answer.ok:
        raise SystemExit(f"{address} answers {answer.status if answer else 'nothing'}; is the name right?")
    deadline = time.monotonic() + 60
    while not page.evaluate(DRAWN):  # the page's policy forbids playwright's own way of waiting
        if time.monotonic() > deadline:
            raise SystemExit(f"the figures of {address} were not drawn within a minute")
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)
    return page


if __name__ == "__main__":
    raise SystemExit(main())
