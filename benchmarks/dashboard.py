"""What the dashboard costs on long searches: the server's processor time, its answers' size, the first paint.

    python -m benchmarks.dashboard [--quick] [--record]

Searches of 20,000 candidates with 2 objectives and of 50,000 with 6 (`--quick`: 2,000 and 5,000) are
written into an SQLite database, and the pages are asked for in the process that serves them, so that
its CPU seconds are what one reader costs.  `cold` is the first look after a start, `warm` every further
one while nothing happens.  Then Chromium opens the page and says when it painted first.  Ratios are
goal over measured: 1 and more keeps the goal.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import psutil
from fastapi.testclient import TestClient

from benchmarks.measuring.browser import find_browser
from benchmarks.measuring.long_history import write_history
from benchmarks.measuring.report import Record, print_result, print_table
from service.background.duties import NO_DUTIES
from service.cli.installation.server import embedded_server
from service.settings import Settings
from service.store.database import Database
from service.web.app import create_app

SIZES = ((20_000, 2), (50_000, 6))
QUICK_SIZES = ((2_000, 2), (5_000, 6))
REPEATS = 5
MOST_LISTED = 20
GOALS = {
    "front_cold": 1.5,
    "front_warm": 0.3,
    "table_page": 0.2,
    "list": 0.2,
    "first_paint_budget": 1.5,
    "memory_mib": 500.0,
}
"""Seconds; MiB for the memory."""


def cpu_seconds(action: Callable[[], Any]) -> float:
    """Returns the CPU seconds of this process that something took, all threads together."""
    started = process_time()
    action()
    return process_time() - started


def measure(home: Path, *, quick: bool) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Returns one row per search with CPU seconds and answers' sizes; and the worst of each, by goal."""
    settings = Settings(home=home, workforce="inline", workers=1)
    sizes = QUICK_SIZES if quick else SIZES
    database = Database(settings.database)
    database.upgrade()
    keys = [
        write_history(database, f"search {place}", candidates=count, objectives=objectives)
        for place, (count, objectives) in enumerate(sizes)
    ]
    for place in range(MOST_LISTED - len(sizes)):
        write_history(database, f"short {place}", candidates=200, objectives=2)
    database.close()
    rows: list[dict[str, Any]] = []
    application = create_app(settings, duties=NO_DUTIES)
    with TestClient(application, base_url="http://127.0.0.1:8000") as client:
        client.get("/healthz")
        for key, (count, objectives) in zip(keys, sizes, strict=True):
            rows.append({"candidates": count, "objectives": objectives} | _one(client, str(key)))
        listing = median(cpu_seconds(lambda: client.get("/").raise_for_status()) for _ in range(REPEATS))
    worst = {name: max(row[name] for row in rows) for name in ("front_cold", "front_warm", "table_page")}
    worst |= {"list": listing, "memory_mib": psutil.Process().memory_info().rss / 2**20}
    worst["first_paint_budget"] = first_paint(settings, str(keys[-1]))
    return rows, worst


def _one(client: TestClient, key: str) -> dict[str, Any]:
    figure = f"/e/{key}/figures/front.json?x=task0&y=task1"

    def ask(path: str) -> int:
        return len(client.get(path).raise_for_status().content)

    cold = cpu_seconds(lambda: ask(figure))
    warm = [cpu_seconds(lambda: ask(figure)) for _ in range(REPEATS)]
    sorted_table = f"/e/{key}/candidates?sort=score1&page="
    table = [cpu_seconds(partial(ask, f"{sorted_table}{page}")) for page in range(1, REPEATS + 1)]
    columns = client.get(f"/e/{key}/columns.bin").raise_for_status().content
    header = json.loads(columns[4 : 4 + int.from_bytes(columns[:4], "little")])
    since = f"/e/{key}/columns.bin?since={header['newest']}&told={header['told']}"
    return {
        "columns_whole": median(cpu_seconds(lambda: ask(f"/e/{key}/columns.bin")) for _ in range(REPEATS)),
        "columns_since": median(cpu_seconds(lambda: ask(since)) for _ in range(REPEATS)),
        "columns_kib": len(columns) / 1024,
        "front_cold": cold,
        "front_warm": median(warm),
        "table_page": median(table),
        "figure_kib": ask(figure) / 1024,
        "page_kib": ask(f"/e/{key}") / 1024,
    }


def first_paint(settings: Settings, key: str) -> float:
    """Returns the seconds until a browser shows something of the page (first contentful paint)."""
    from playwright.sync_api import sync_playwright

    with (
        embedded_server(settings, lambda chosen: create_app(chosen, duties=NO_DUTIES)) as served,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        found = []
        for _ in range(REPEATS):
            page = browser.new_page()
            page.goto(f"{served.url}/e/{key}", wait_until="load")
            paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
            page.wait_for_function(f"({paint}) !== null")
            found.append(page.evaluate(paint) / 1000)
            page.close()
        browser.close()
    return float(median(found))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short searches")
    parser.add_argument("--record", action="store_true", help="append to benchmarks/RESULTS.md")
    options = parser.parse_args()
    with Record() as record, TemporaryDirectory() as home:
        rows, worst = measure(Path(home), quick=options.quick)
        header = list(rows[0])
        print_table(
            "CPU seconds of the server, and KiB of its answers",
            header,
            [[f"{row[name]:.3g}" for name in header] for row in rows],
        )
        ratios = {name: GOALS[name] / value for name, value in worst.items()}
        print_result(ratios, limit=GOALS, spread={}, measured={n: round(v, 4) for n, v in worst.items()})
    if options.record:
        command = "python -m benchmarks.dashboard" + (" --quick" if options.quick else "")
        record.append_to(Path(__file__).parent / "RESULTS.md", "The dashboard on long searches", command)


if __name__ == "__main__":
    main()
