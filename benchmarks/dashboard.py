"""What the dashboard costs on long searches, for the server and for the reader, beside Optuna Dashboard.

    python -m benchmarks.dashboard [--quick] [--alone] [--record]

Searches of 20,000 candidates with 2 objectives and of 50,000 with 6 (`--quick`: 2,000 and 5,000) are
written into an SQLite database.  First the answers are asked for in the process that serves them: CPU
seconds (`cold` is the first look after a start, `warm` every further one) and sizes.  Then a server of
its own serves the largest search, which goes on, to a headless Chromium: first paint, until the front's
points are drawn, from a candidate's commit to its number on the screen (95th percentile), the share of a
core that an idle tab takes, and the server's memory after all this.  `kib` compares what pages send for
the long search and for one of a twentieth.  `--alone` leaves Optuna Dashboard out.  Ratios are goal over
measured: 1 and more keeps the goal.
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
from uuid import UUID

from fastapi.testclient import TestClient
from playwright.sync_api import Browser

from benchmarks.measuring.long_history import write_history
from benchmarks.measuring.report import Record, print_result, print_table
from benchmarks.peers.environments import PeerUnavailableError
from benchmarks.viewing.browsing import (
    browser,
    bytes_received,
    delays_to_screen,
    first_paint,
    idle_share,
    percentile_95,
    seconds_until,
)
from benchmarks.viewing.growing import GrowingSearch
from benchmarks.viewing.optuna_peer import measure_optuna
from benchmarks.viewing.served import served
from service.background.duties import NO_DUTIES
from service.settings import Settings
from service.store.database import Database
from service.web.app import create_app

SIZES = ((20_000, 2), (50_000, 6))
QUICK_SIZES = ((2_000, 2), (5_000, 6))
REPEATS = 5
MOST_LISTED = 20
SMALLER = 20  # times: the search that sizes are compared with
GOALS = {
    "front_cold": 1.5,
    "front_warm": 0.3,
    "columns_since": 0.3,
    "table_page": 0.2,
    "list": 0.2,
    "first_paint": 1.5,
    "front_page_paint": 1.5,
    "event_to_screen_p95": 1.0,
    "idle_share": 0.01,
    "memory_mb": 500.0,
}
"""Seconds; a share of one core; MB."""
FRONT_DRAWN = "document.getElementById('explorer')?.dataset.drawn ?? null"
OVERVIEW_DRAWN = "document.querySelector('#front .main-svg') !== null || null"


def cpu_seconds(action: Callable[[], Any]) -> float:
    """Returns the CPU seconds of this process that something took, all threads together."""
    started = process_time()
    action()
    return process_time() - started


def write_searches(settings: Settings, *, quick: bool) -> list[tuple[str, int, int]]:
    """Writes the searches; returns key, candidates and objectives of the long ones and of a small one."""
    sizes = QUICK_SIZES if quick else SIZES
    largest, objectives = sizes[-1]
    database = Database(settings.database)
    database.upgrade()
    wanted = [*sizes, (largest // SMALLER, objectives)]
    found = []
    for place, (count, width) in enumerate(wanted):
        key = write_history(
            database, f"search {place}", candidates=count, objectives=width, running=place == 1
        )
        found.append((str(key), count, width))
    for place in range(MOST_LISTED - len(wanted)):
        write_history(database, f"short {place}", candidates=200, objectives=2)
    database.close()
    return found


def answers(settings: Settings, searches: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    """Returns one row per search with the server's CPU seconds and the answers' sizes."""
    rows: list[dict[str, Any]] = []
    application = create_app(settings, duties=NO_DUTIES)
    with TestClient(application, base_url="http://127.0.0.1:8000") as client:
        client.get("/healthz")
        for key, count, objectives in searches:
            rows.append({"candidates": count, "objectives": objectives} | _one(client, key))
        listing = median(cpu_seconds(lambda: client.get("/").raise_for_status()) for _ in range(REPEATS))
    return [row | {"list": listing} for row in rows]


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
        "front_cold": cold,
        "front_warm": median(warm),
        "table_page": median(table),
    }


def reader(view: Browser, settings: Settings, searches: list[tuple[str, int, int]]) -> dict[str, float]:
    """Returns what a reader of the largest search waits for, and what the server takes meanwhile."""
    key, _, objectives = searches[1]
    database = Database(settings.database)
    with served(settings.home) as server:
        page = f"{server.url}/e/{key}"
        found = {
            "first_paint": median(first_paint(view, page) for _ in range(REPEATS)),
            "front_page_paint": median(first_paint(view, f"{page}/front") for _ in range(REPEATS)),
            "overview_drawn": median(seconds_until(view, page, OVERVIEW_DRAWN) for _ in range(REPEATS)),
            "front_drawn": median(seconds_until(view, f"{page}/front", FRONT_DRAWN) for _ in range(REPEATS)),
        }
        found["idle_share"] = idle_share(view, page, server, seconds=30)
        search = GrowingSearch(database, UUID(key), objectives)
        delays = delays_to_screen(view, page, search, events=40, pause=0.7)
        found |= {"event_to_screen_p95": percentile_95(delays), "event_to_screen": median(delays)}
        found["memory_mb"] = server.memory_mb
        small = f"{server.url}/e/{searches[2][0]}"
        for name, place in (("overview", ""), ("candidates", "/candidates"), ("runs", "/runs")):
            drawn = OVERVIEW_DRAWN if not place else "true"
            found[f"kib_{name}"] = bytes_received(view, page + place, drawn) / 1024
            found[f"kib_{name}_of_small"] = bytes_received(view, small + place, drawn) / 1024
    database.close()
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short searches")
    parser.add_argument("--alone", action="store_true", help="without Optuna Dashboard")
    parser.add_argument("--record", action="store_true", help="append to benchmarks/RESULTS.md")
    options = parser.parse_args()
    with Record() as record, TemporaryDirectory() as home, browser() as view:
        settings = Settings(home=Path(home), workforce="inline", workers=1)
        searches = write_searches(settings, quick=options.quick)
        rows = answers(settings, searches[:2])
        seen = reader(view, settings, searches)
        _tell(rows, seen, _peer(view, Path(home), searches) if not options.alone else None)
    if options.record:
        flags = (" --quick" if options.quick else "") + (" --alone" if options.alone else "")
        command = f"python -m benchmarks.dashboard{flags}"
        record.append_to(Path(__file__).parent / "RESULTS.md", "The dashboard on long searches", command)


def _peer(view: Browser, folder: Path, searches: list[tuple[str, int, int]]) -> dict[str, float | str]:
    _, candidates, objectives = searches[1]
    try:
        return measure_optuna(view, folder, trials=candidates, objectives=objectives)
    except (PeerUnavailableError, TimeoutError) as error:
        return {"not measured": str(error)}


def _tell(rows: list[dict[str, Any]], seen: dict[str, float], peer: dict[str, float | str] | None) -> None:
    header = list(rows[0])
    cells = [[f"{row[name]:.3g}" for name in header] for row in rows]
    print_table("CPU seconds of the server", header, cells)
    listed = [[name, f"{value:.3g}"] for name, value in seen.items()]
    print_table("In the browser, the largest search", ["what", "seconds, share, MB, KiB"], listed)
    if peer is not None:
        told = [[name, v if isinstance(v, str) else f"{v:.3g}"] for name, v in peer.items()]
        print_table("Optuna Dashboard, as many trials and objectives", ["what", "figure"], told)
    worst = {name: max(row[name] for row in rows) for name in GOALS if name in rows[0]}
    worst |= {name: value for name, value in seen.items() if name in GOALS}
    ratios = {name: GOALS[name] / max(value, 1e-9) for name, value in worst.items()}
    print_result(ratios, limit=GOALS, spread={}, measured={n: round(v, 4) for n, v in worst.items()})


if __name__ == "__main__":
    main()
