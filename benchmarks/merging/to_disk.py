"""What merging to the disk costs beside mergekit: seconds, start-up and memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from safetensors.torch import load_file

from benchmarks.measuring.report import Samples, interleaved, print_table
from benchmarks.merge_models import Case, recipe_text
from benchmarks.peers.mergekit_client import (
    Command,
    Mergekit,
    base_weights,
    check_alike,
    mergekit_python,
    run_command,
)
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

_LIMIT = ("--memory-limit", "600MB")
_LOWEST = ("--lazy-unpickle", "--out-shard-size", "50M")
"""What has mergekit take the least memory: it holds a file's tensors until the file is complete."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and mergekit's, in turns.

    Attributes:
        name: Of the ratio.
        what: For the table.
        goal: The least ratio.
        peaks: The most memory that either had resident, in bytes; of whole commands.
    """

    name: str
    what: str
    goal: float
    ours: Samples
    theirs: Samples
    peaks: tuple[int, int] = (0, 0)

    @property
    def ratio(self) -> float:
        """How many times as long mergekit takes."""
        return self.theirs.median / self.ours.median


def merge_seconds(text: str, out: Path) -> float:
    """Merges a recipe to a folder without starting a process; returns the seconds."""
    shutil.rmtree(out, ignore_errors=True)
    start = perf_counter()
    merge_to_disk(ExportOrder(recipe=read_recipe(text), folder=str(out), verify=False))
    return perf_counter() - start


class DiskBench:
    """Merges models on the disk, to a folder of its own."""

    def __init__(self, folders: Sequence[Path], work: Path, mergekit: Mergekit) -> None:
        self._folders, self._work, self._mergekit = list(folders), work, mergekit
        self._out = work / "evomerge"
        self._commands = (
            [str(Path(sys.executable).with_name("evomerge")), "merge"],
            [str(mergekit_python().with_name("mergekit-yaml"))],
        )

    def merge(self, text: str) -> float:
        """Merges a recipe without starting a process; returns the seconds."""
        return merge_seconds(text, self._out)

    def streamed(self, case: Case, goal: float, repeats: int, theirs: Samples | None = None) -> Pair:
        """Compares merging alone: starting and importing are not counted.

        Args:
            case: The method.
            goal: The least ratio.
            repeats: How often.
            theirs: Seconds of mergekit in this run, where measuring them again takes minutes.

        Raises:
            ValueError: The two give different weights.
        """
        text, way = recipe_text(case, self._folders), self._mergekit.disk_way
        self.merge(text)
        if theirs is None:
            self._mergekit.merge(text, way)
            mine = {n: t for file in self._out.glob("*.safetensors") for n, t in load_file(file).items()}
            check_alike(case, mine, self._mergekit.weights(), base_weights(self._folders[0]))
            mine.clear()
            ours, theirs = interleaved(
                repeats, lambda: self.merge(text), lambda: self._mergekit.merge(text, way)
            )
        else:
            (ours,) = interleaved(repeats, lambda: self.merge(text))
        shutil.rmtree(self._out, ignore_errors=True)
        return Pair(f"streamed_{case.method}", f"{case.method}, merging alone", goal, ours, theirs)

    def command(self, which: int, case: Case, models: Sequence[Path], *options: str) -> Command:
        """Runs evomerge's command (0) or mergekit's (1), from start to end."""
        recipe = self._work / "command.yml"
        recipe.write_text(recipe_text(case, models))
        shutil.rmtree(self._out, ignore_errors=True)
        done = run_command([*self._commands[which], str(recipe), str(self._out), *options])
        shutil.rmtree(self._out, ignore_errors=True)
        return done

    def whole(self, name: str, what: str, case: Case, models: Sequence[Path], repeats: int) -> Pair:
        """Compares whole commands, start-up counted."""
        peaks = [self.command(which, case, models).peak for which in (0, 1)]  # and read for the first time

        def seconds(which: int, *options: str) -> float:
            done = self.command(which, case, models, *options)
            peaks[which] = max(peaks[which], done.peak)
            return done.seconds

        ours, theirs = interleaved(repeats, lambda: seconds(0), lambda: seconds(1, "--quiet"))
        return Pair(name, what, 1.0, ours, theirs, (peaks[0], peaks[1]))

    def memory(self, case: Case, whole: Pair) -> Mapping[str, int]:
        """Returns the most memory that each command had, by what it was told.

        Args:
            case: The method.
            whole: What its commands took with no limit.
        """
        return {
            "evomerge": whole.peaks[0],
            f"evomerge {' '.join(_LIMIT)}": self.command(0, case, self._folders, *_LIMIT).peak,
            "mergekit": whole.peaks[1],
            f"mergekit {' '.join(_LOWEST)}": self.command(1, case, self._folders, "--quiet", *_LOWEST).peak,
        }


def print_disk(pairs: Sequence[Pair], memory: Mapping[str, int]) -> None:
    """Prints both tables."""
    rows = [
        (
            pair.what,
            f"{pair.ours.median:.2f}",
            f"{max(pair.ours.seconds):.2f}",
            f"{pair.theirs.median:.2f}",
            f"{pair.ratio:.2f}",
            f"{pair.goal:g}",
        )
        for pair in pairs
    ]
    header = ("to the disk", "evomerge s", "worst", "mergekit s", "ratio", "goal")
    print_table("To the disk, beside mergekit", header, rows)
    print_table(
        "The most memory that a linear merge to the disk takes",
        ("command", "MB"),
        [(what, f"{peak / 1e6:.0f}") for what, peak in memory.items()],
    )


def memory_ratio(memory: Mapping[str, int]) -> float:
    """Returns mergekit's lowest over ours with no limit set."""
    return min(peak for what, peak in memory.items() if what.startswith("mergekit")) / memory["evomerge"]
