"""Durable ask and tell: our search loop and journal against Optuna's RDBStorage, on the same Postgres.

    python -m benchmarks.store [--quick] [--record]

Both sides propose random genomes of 24 real genes, and write every candidate down so that a crash forgets
none that was told; nothing is evaluated.  They take turns on one server, which makes every commit
durable.  Before any time counts, both must have stored as many candidates and numbers as were asked for.
With 64 in flight ours has 64 candidates out; Optuna asks and tells from 8 threads, which each wait for
their own commits (64 threads are no faster: its rows are numbered one after the other).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benchmarks.measuring.postgres import postgres
from benchmarks.measuring.report import Record, Samples, interleaved, print_result, print_table
from benchmarks.peers.environments import PeerProcess, PeerUnavailableError, peer_python
from benchmarks.storing.service_side import GENES, Stored, durable_search
from service.store.database import Database

PEER = ("optuna==5.0.0", "psycopg[binary]==3.3.9")
SCRIPT = Path(__file__).parent / "peers" / "optuna_store.py"
LIMITS = {"postgres_one_in_flight": "at least 12", "postgres_64_in_flight": "at least 50"}


@dataclass(frozen=True, slots=True)
class Case:
    """How many candidates are out at once, and how many a run has: ours, and the peer's."""

    name: str
    in_flight: int
    threads: int
    ours: int
    peers: int


FULL = (
    Case("postgres_one_in_flight", 1, 1, 400, 80),
    Case("postgres_64_in_flight", 64, 8, 2560, 160),
)
QUICK = (
    Case("postgres_one_in_flight", 1, 1, 100, 16),
    Case("postgres_64_in_flight", 64, 8, 640, 32),
)


class UnequalError(RuntimeError):
    """A side did not store what it was asked for, so its time means nothing."""


def per_candidate(stored: Stored, wanted: int) -> float:
    """Returns seconds per candidate, if all of them are there.

    Raises:
        UnequalError: Candidates, or numbers of them, are missing.
    """
    if (stored.finished, stored.values) != (wanted, wanted * (GENES + 1)):
        raise UnequalError(
            f"{stored.finished} candidates with {stored.values} numbers are stored, "
            f"not {wanted} with {wanted * (GENES + 1)}"
        )
    return stored.seconds / wanted


def sides(case: Case, database: Database, url: str, peer: PeerProcess) -> tuple[Callable[[], float], ...]:
    """Returns one run of ours and one of the peer's; each returns its seconds per candidate."""

    def ours() -> float:
        stored = durable_search(
            database, f"run {uuid4()}", candidates=case.ours, in_flight=case.in_flight, seed=0
        )
        return per_candidate(stored, case.ours)

    def peers() -> float:
        request = {"url": url, "study": str(uuid4()), "trials": case.peers, "threads": case.threads}
        answer = peer.ask(request | {"genes": GENES, "seed": 0})
        return per_candidate(Stored(**answer), case.peers)

    return ours, peers


def measure(cases: tuple[Case, ...], repeats: int, peer: PeerProcess) -> dict[str, list[Samples]]:
    """Returns seconds per candidate, ours and the peer's, by case."""
    with postgres() as server:
        database, url = Database(server.new_url()), server.new_url()
        database.upgrade()
        found = {}
        for case in cases:
            ours, peers = sides(case, database, url, peer)
            ours(), peers()  # libraries are loaded, tables made, counts checked
            found[case.name] = interleaved(repeats, ours, peers)
        database.close()
        return found


def main() -> None:
    """Measures and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few candidates, three rounds")
    parser.add_argument("--record", action="store_true", help="add the table to benchmarks/RESULTS.md")
    options = parser.parse_args()
    cases, repeats = (QUICK, 3) if options.quick else (FULL, 5)
    try:
        python = peer_python("optuna", PEER, torch=False)
    except PeerUnavailableError as error:
        print_result({}, limit=LIMITS, spread={}, absent={"optuna": str(error)})
        sys.exit(1)
    with PeerProcess(python, SCRIPT) as peer:
        found = measure(cases, repeats, peer)
    rows = [
        (
            case.name,
            f"{1 / ours.median:.0f}",
            f"{1 / peers.median:.1f}",
            f"{peers.median / ours.median:.1f}",
            LIMITS[case.name],
        )
        for case in cases
        for ours, peers in [found[case.name]]
    ]
    with Record() as record:
        print_table("Durable candidates a second", ("case", "evomerge", "Optuna", "ratio", "goal"), rows)
    if options.record:
        command = f"python -m benchmarks.store{' --quick' if options.quick else ''}"
        record.append_to(Path(__file__).with_name("RESULTS.md"), "Durable ask and tell", command)
    ratios = {name: peers.median / ours.median for name, (ours, peers) in found.items()}
    spread = {name: max(one.spread for one in pair) for name, pair in found.items()}
    print_result(ratios, limit=LIMITS, spread=spread)


if __name__ == "__main__":
    main()
