"""What a reader sees and waits for, in a browser: first paint, the drawn front, news on the screen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.measuring.browser import find_browser
from benchmarks.viewing.growing import GrowingSearch
from benchmarks.viewing.served import ServedProcess

PATIENCE = 120.0  # seconds until something that does not come is given up
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_NOTE_COUNTS = """
window.seen = [];
document.addEventListener("DOMContentLoaded", () => {
  const note = () => {
    const count = Number(document.querySelector("#progress strong")?.textContent.replaceAll(",", ""));
    if (count !== window.seen.at(-1)?.[0]) window.seen.push([count, Date.now() / 1000]);
  };
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true, characterData: true });
});
"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Opens a browser for the length of the block."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=find_browser(), args=_ARGUMENTS)
        yield running
        running.close()


def first_paint(view: Browser, address: str) -> float:
    """Returns the seconds until a page shows something: first contentful paint."""
    page = view.new_page()
    page.goto(address, wait_until="load")
    script = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    found = _awaited(page, script)
    page.close()
    return float(found) / 1000


def seconds_until(view: Browser, address: str, script: str) -> float:
    """Returns the seconds from asking for a page until a script gives something but null."""
    page = view.new_page()
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    _awaited(page, script)
    seconds = time.perf_counter() - started
    page.close()
    return seconds


def bytes_received(view: Browser, address: str, script: str) -> int:
    """Returns how many bytes a page takes over the network, until a script gives something but null."""
    page = view.new_page()
    session = page.context.new_cdp_session(page)
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    session.send("Network.enable")
    page.goto(address, wait_until="load")
    _awaited(page, script)
    page.close()
    return int(sum(sizes))


def delays_to_screen(
    view: Browser, address: str, search: GrowingSearch, *, events: int, pause: float
) -> list[float]:
    """Returns, per candidate that settles, the seconds until an open page shows it or a later one."""
    page = view.new_page()
    page.add_init_script(_NOTE_COUNTS)
    page.goto(address, wait_until="load")
    _awaited(page, "document.getElementById('live')?.dataset.state === 'live' || null")
    time.sleep(2.0)
    before = search.count
    for _ in range(events):
        search.settle_one()
        page.wait_for_timeout(pause * 1000)
    _awaited(page, f"window.seen.some(([count]) => count >= {search.count}) || null")
    seen: list[tuple[float, float]] = page.evaluate("window.seen")
    page.close()
    wanted = range(before + 1, search.count + 1)
    return [
        next(moment for count, moment in seen if count >= number) - search.settled_at[number]
        for number in wanted
    ]


def idle_share(view: Browser, address: str, server: ServedProcess, *, seconds: float) -> float:
    """Returns the share of a core that the server takes while a page is open and nothing happens."""
    page = view.new_page()
    page.goto(address, wait_until="load")
    page.wait_for_timeout(3000)
    before, started = server.cpu_seconds, time.perf_counter()
    page.wait_for_timeout(seconds * 1000)
    share = (server.cpu_seconds - before) / (time.perf_counter() - started)
    page.close()
    return share


def percentile_95(values: list[float]) -> float:
    """Returns what nineteen of twenty stay below."""
    return float(np.percentile(values, 95))


def _awaited(page: Page, script: str) -> Any:  # noqa: ANN401 - whatever the script gives
    """Waits in short steps: a page's policy forbids playwright's own way."""
    deadline = time.monotonic() + PATIENCE
    while (found := page.evaluate(script)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{script} gave nothing within {PATIENCE:g} s")
        page.wait_for_timeout(20)
    return found
