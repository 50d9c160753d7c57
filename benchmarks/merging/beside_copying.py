"""What writing a merged checkpoint costs beside copying as many bytes: what the disk alone allows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.measuring.report import Samples, interleaved, print_table
from benchmarks.merge_models import CASES, recipe_text
from benchmarks.merging.to_disk import merge_seconds

_AT_ONCE = 8 * 2**20  # bytes


def export_beside_copying(
    folders: Sequence[Path], work: Path, repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Exports a linear merge and copies a parent to the same disk, in turns; returns ratio and spreads.

    Both end when everything is on the disk.  The parents' files were hashed before, as by a service that
    scored candidates of them.

    Args:
        folders: The base's and the parents' folders.
        work: A folder on the disk that is measured.
        repeats: How often.
    """
    text = recipe_text(next(case for case in CASES if case.method == "linear"), folders)
    out = work / "exported"
    merge_seconds(text, out)
    ours, copying = interleaved(
        repeats, lambda: merge_seconds(text, out), lambda: _copy_seconds(folders[1], work / "copied")
    )
    shutil.rmtree(out)
    shutil.rmtree(work / "copied")
    _print(ours, copying)
    spreads = {"export_over_copying": ours.spread, "copying": copying.spread}
    return {"export_over_copying": copying.median / ours.median}, spreads


def _copy_seconds(folder: Path, to: Path) -> float:
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    start = perf_counter()
    for path in folder.iterdir():
        with path.open("rb") as source, (to / path.name).open("wb") as copy:
            shutil.copyfileobj(source, copy, _AT_ONCE)
            copy.flush()
            os.fsync(copy.fileno())
    return perf_counter() - start


def _print(ours: Samples, copying: Samples) -> None:
    row = (f"{ours.median:.2f}", f"{copying.median:.2f}", f"{ours.median / copying.median:.2f}", "1.3")
    header = ("export s", "copying s", "over copying", "goal")
    print_table("A linear merge to the disk, beside copying a parent", header, [row])
