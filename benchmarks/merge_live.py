"""What a candidate's merge costs in the live model: in times the copy of the same bytes, and mergekit's."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.measuring.report import Samples, print_table
from benchmarks.merge_models import Case, recipe_text
from benchmarks.peers.mergekit_client import Mergekit, base_weights, check_alike
from search_spaces import Parent, Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.layout import Layout
from workers.merging.fast.caches import Caches
from workers.merging.plan import plan_merge
from workers.runtime.live_model import LiveModel
from workers.runtime.resident_parents import ResidentParents, cache_limit

AMORTISED_OVER = 100  # candidates
CANDIDATES = 5  # that are merged per repeat, each after a copy


_HEADER = (
    *("method", "ms", "x copy", "goal", "worst", "GB/s", "mergekit s", "ratio", "goal"),
    *("plan ms", "code s", "first s", "first x copy", "ms over 100"),
)


@dataclass(frozen=True, slots=True)
class Timing:
    """What one method took.

    Attributes:
        code: Seconds in which the method's machine code was loaded, or compiled where it was in no cache.
        first: Of the first candidate after that, in which everything is found.
        merge: Of those after it.
        plan: Of reading the recipe and planning.
        copy: Of copying the bytes that the method reads and writes.
        theirs: Of mergekit; None where it was not asked.
    """

    case: Case
    code: float
    first: float
    merge: Samples
    plan: Samples
    copy: Samples
    theirs: Samples | None = None

    @property
    def of_copy(self) -> float:
        """How many times the copy a candidate takes, median."""
        return self.merge.median / self.copy.median

    @property
    def worst(self) -> float:
        """The slowest candidate over the median one."""
        return max(self.merge.seconds) / self.merge.median

    @property
    def first_of_copy(self) -> float:
        """How many times the copy the first candidate takes."""
        return self.first / self.copy.median

    @property
    def of_theirs(self) -> float | None:
        """How many times as long as a candidate mergekit takes."""
        return None if self.theirs is None else self.theirs.median / self.merge.median

    @property
    def amortised(self) -> float:
        """Seconds per candidate when the first one's surplus is shared by a hundred."""
        return self.merge.median + max(self.first - self.merge.median, 0.0) / AMORTISED_OVER


class LiveBench:
    """A live model and its parents, as a worker has them."""

    def __init__(
        self, folders: Sequence[Path], mergekit: Mergekit | None = None, warm_up: Sequence[Path] = ()
    ) -> None:
        """Reads the parents.

        Args:
            folders: Of the base and the parents.
            mergekit: To compare with.
            warm_up: Of smaller ones, with which machine code is loaded before anything is timed.
        """
        self.folders, self._mergekit = list(folders), mergekit
        self._warm_up = LiveBench(warm_up) if warm_up else None
        self.layouts: dict[Parent, Layout] = {}
        for folder in folders:
            parent = Parent(model=str(folder))
            self.layouts[parent] = inspect_checkpoint(parent, folder)
        start = perf_counter()
        self.parents = ResidentParents(self.layouts)
        self.seconds_to_load = perf_counter() - start
        self.owner = next(iter(self.layouts.values()))
        self._copied = torch.empty(self.owner.bytes, dtype=torch.uint8).fill_(1)
        self._copy = torch.empty_like(self._copied)
        self._restart()

    def _restart(self) -> None:
        gc.unfreeze()
        self.caches = Caches(cache_limit())
        self.live = LiveModel(self.owner, caches=self.caches)
        gc.collect()
        gc.freeze()  # as a worker does that is ready

    def merge(self, recipe: Recipe) -> tuple[float, float]:
        """Overwrites the live model; returns the seconds of planning, and of merging."""
        start = perf_counter()
        plan = plan_merge(recipe, self.layouts)
        config = merged_config(plan.owner, recipe, self.layouts)
        planned = perf_counter()
        self.model = self.live.overwrite(config, plan, self.parents.sources)
        return planned - start, perf_counter() - planned

    def weights(self) -> dict[str, Tensor]:
        """Returns the live model's weights."""
        return dict(self.model.state_dict())

    def copy(self, inputs: int) -> float:
        """Returns the seconds of copying as many bytes as a pass over these inputs reads and writes."""
        start = perf_counter()
        self._copy.copy_(self._copied)  # reads a model and writes one: two streams
        return (perf_counter() - start) * (inputs + 1) / 2

    def text(self, case: Case, number: int) -> str:
        """Returns the recipe of a candidate of this number."""
        return recipe_text(case, self.folders, number)

    def recipe(self, case: Case, number: int = 0) -> Recipe:
        """Returns the recipe of a candidate of this number."""
        return read_recipe(self.text(case, number))

    def time(self, case: Case, repeats: int, *, theirs_once: bool = False) -> Timing:
        """Measures a method: copy, merge, copy, merge, ..., mergekit, and again.

        Each candidate has other coefficients, so that every tensor changes.

        Args:
            case: The method.
            repeats: How often.
            theirs_once: mergekit merges only what is compared.

        Raises:
            ValueError: mergekit's result is another one.
        """
        code = 0.0 if self._warm_up is None else sum(self._warm_up.merge(self._warm_up.recipe(case)))
        self._restart()
        first = sum(self.merge(self.recipe(case)))
        theirs = [] if self._mergekit is None or case.against_mergekit is None else [self._compare(case)]
        number, merged, planned, copied = 1, [], [], []
        for repeat in range(repeats):
            for _ in range(CANDIDATES):
                copied.append(self.copy(case.inputs))
                seconds = self.merge(self.recipe(case, number))
                planned.append(seconds[0])
                merged.append(seconds[1])
                number += 1
            if (
                theirs and repeat and not theirs_once and self._mergekit is not None
            ):  # the comparison was its first
                theirs.append(self._mergekit.merge(self.text(case, number)))
        return Timing(
            case,
            code,
            first,
            merge=Samples(tuple(merged)),
            plan=Samples(tuple(planned)),
            copy=Samples(tuple(copied)),
            theirs=Samples(tuple(theirs)) if theirs else None,
        )

    def _compare(self, case: Case) -> float:
        """Has mergekit merge what lies in the live model; returns its seconds."""
        if self._mergekit is None:
            raise ValueError("there is no mergekit to compare with")
        seconds = self._mergekit.merge(self.text(case, 0), save=True)
        check_alike(case, self.weights(), self._mergekit.weights(), base_weights(self.folders[0]))
        return seconds


def measure_live(
    bench: LiveBench, cases: Sequence[Case], repeats: int, *, theirs_once: bool = False
) -> list[Timing]:
    """Measures all methods and prints a table."""
    found = []
    for case in cases:
        found.append(bench.time(case, repeats, theirs_once=theirs_once))
        print(f"  {case.method}: {found[-1].of_copy:.2f} x copy", flush=True)
    size = bench.owner.bytes
    print_table(
        f"Into the live model, {size / 2e6:.0f} M parameters in bfloat16, {torch.get_num_threads()} threads",
        _HEADER,
        [_row(one, size) for one in found],
    )
    return found


def print_markdown(found: Sequence[Timing], parameters: int, instructions: str) -> None:
    """Prints the rows of the README's table, ready to be pasted.

    Args:
        found: The timings of one model.
        parameters: How many it has.
        instructions: The name of the vector instructions that were used.
    """
    title = f"{instructions}, {parameters / 1e6:.0f} M"
    print(f"\n| {title} | a candidate | over copying the same bytes | worst over median | first over copy |")
    print("|---|---|---|---|---|")
    for one in found:
        cells = (f"{one.merge.median * 1e3:.0f} ms", f"{one.of_copy:.2f}", f"{one.worst:.2f}")
        print(f"| {one.case.method} | {' | '.join(cells)} | {one.first_of_copy:.0f} |")


def _row(one: Timing, size: int) -> tuple[str, ...]:
    moved = size * (one.case.inputs + 1)
    return (
        one.case.method,
        f"{one.merge.median * 1e3:.1f}",
        f"{one.of_copy:.2f}",
        "" if one.case.goal is None else f"{one.case.goal:g}",
        f"{one.worst:.2f}",
        f"{moved / one.merge.median / 1e9:.1f}",
        "" if one.theirs is None else f"{one.theirs.median:.2f}",
        "" if one.of_theirs is None else f"{one.of_theirs:.1f}",
        "" if one.case.against_mergekit is None else f"{one.case.against_mergekit:g}",
        f"{one.plan.median * 1e3:.1f}",
        f"{one.code:.2f}",
        f"{one.first:.2f}",
        f"{one.first_of_copy:.1f}",
        f"{one.amortised * 1e3:.1f}",
    )


def first_figures(found: Sequence[Timing], lapack: Mapping[str, float]) -> Mapping[str, object]:
    """Returns what first candidates took: seconds, times the copy, and times the plain decompositions.

    Args:
        found: The timings.
        lapack: Method -> seconds of the decompositions alone, of methods that need some.
    """
    return {
        "first_seconds": {one.case.method: round(one.first, 3) for one in found},
        "first_of_copy": {one.case.method: round(one.first_of_copy, 1) for one in found},
        "first_of_lapack": {
            one.case.method: round(one.first / lapack[one.case.method], 2)
            for one in found
            if one.case.method in lapack
        },
    }


def live_figures(
    found: Sequence[Timing],
) -> tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float]]:
    """Returns ratios to mergekit, times the copy, and spreads, by method."""
    ratios = {one.case.method: one.of_theirs for one in found if one.of_theirs is not None}
    limits = {one.case.method: round(one.of_copy, 3) for one in found}
    spreads = {one.case.method: one.merge.spread for one in found}
    spreads |= {f"mergekit_{one.case.method}": one.theirs.spread for one in found if one.theirs is not None}
    return ratios, limits, spreads
