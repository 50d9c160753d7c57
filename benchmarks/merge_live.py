"""What a candidate's merge costs in the live model, in times the copy of the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.merge_models import Case, recipe_text
from benchmarks.report import Samples, interleaved, print_table
from search_spaces import Parent, Recipe
from search_spaces.mergekit_yaml import read_recipe
from workers.configuration import merged_config
from workers.inspection import inspect_checkpoint
from workers.layout import Layout
from workers.live_model import LiveModel
from workers.merging.fast.caches import Caches
from workers.merging.plan import plan_merge
from workers.residency import ResidentParents, cache_limit

_AMORTISED_OVER = 100  # candidates


@dataclass(frozen=True, slots=True)
class Timing:
    """What one method took.

    Attributes:
        first: Seconds of the first candidate, in which everything is found and compiled.
        merge: Of those after it.
        plan: Of reading the recipe and planning.
        copy: Of copying the bytes that the method reads and writes.
    """

    case: Case
    first: float
    merge: Samples
    plan: Samples
    copy: Samples

    @property
    def ratio(self) -> float:
        """How many times the copy a candidate takes, median."""
        return self.merge.median / self.copy.median

    @property
    def worst(self) -> float:
        """The slowest candidate over the median copy."""
        return max(self.merge.seconds) / self.copy.median


class LiveBench:
    """A live model and its parents, as a worker has them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = list(folders)
        self.layouts: dict[Parent, Layout] = {}
        for folder in folders:
            parent = Parent(model=str(folder))
            self.layouts[parent] = inspect_checkpoint(parent, folder)
        self.parents = ResidentParents(self.layouts)
        self.owner = next(iter(self.layouts.values()))
        self._copied = torch.empty(self.owner.bytes, dtype=torch.uint8).fill_(1)
        self._copy = torch.empty_like(self._copied)
        self._restart()

    def _restart(self) -> None:
        self.caches = Caches(cache_limit())
        self.live = LiveModel(self.owner, caches=self.caches)

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

    def time(self, case: Case, repeats: int) -> Timing:
        """Measures a method: copy, merge, copy, merge, ..., each candidate with other coefficients."""
        self._restart()
        texts = iter(range(10_000))

        def candidate() -> tuple[float, float]:
            return self.merge(read_recipe(recipe_text(case, self.folders, next(texts))))

        first = sum(candidate())
        plans: list[float] = []

        def timed() -> float:
            planned, merged = candidate()
            plans.append(planned)
            return merged

        timed()
        self.copy(case.inputs)
        plans.clear()
        merge, copy = interleaved(repeats, timed, lambda: self.copy(case.inputs))
        return Timing(case, first, merge, Samples(tuple(plans)), copy)


def measure_live(bench: LiveBench, cases: Sequence[Case], repeats: int) -> list[Timing]:
    """Measures all methods and prints a table."""
    found = [bench.time(case, repeats) for case in cases]
    size = bench.owner.bytes
    rows = []
    for one in found:
        goal = "" if one.case.goal is None else f"{one.case.goal:g}"
        moved = size * (one.case.inputs + 1)
        amortised = one.merge.median + (one.first - one.merge.median) / _AMORTISED_OVER
        rows.append(
            (
                one.case.method,
                f"{one.merge.median * 1e3:.1f}",
                f"{one.ratio:.2f}",
                f"{one.worst:.2f}",
                goal,
                f"{moved / one.merge.median / 1e9:.1f}",
                f"{one.plan.median * 1e3:.1f}",
                f"{one.first:.2f}",
                f"{amortised * 1e3:.1f}",
            )
        )
    print_table(
        f"Into the live model, {size / 2e6:.0f} M parameters in bfloat16, {torch.get_num_threads()} threads",
        ("method", "ms", "x copy", "worst", "goal", "GB/s", "plan ms", "first s", "ms over 100"),
        rows,
    )
    return found


def check_alike(case: Case, mine: dict[str, Tensor], theirs: dict[str, Tensor], base: Callable[[str], Tensor]) -> None:
    """Refuses to compare the speed of two different results.

    mergekit computes in bfloat16 what is computed in float32 here, ranks equal magnitudes in no
    declared order, and draws other masks: so what must agree is the length and the direction of the
    whole change, and, where nothing is drawn, nearly all entries.

    Raises:
        ValueError: The two do not merge the same recipe.
    """
    for name, other in theirs.items():
        origin = base(name).float()
        own, its = mine[name].float() - origin, other.float() - origin
        if own.numel() < 1 << 16:
            continue
        cosine = float(torch.nn.functional.cosine_similarity(own.flatten(), its.flatten(), dim=0))
        lengths = float(own.norm() / its.norm())
        least = 0.5 if case.draws else 0.98
        if not (cosine > least and 0.95 < lengths < 1.05):
            raise ValueError(f"{case.method}, {name}: cosine {cosine:.3f}, ratio of lengths {lengths:.3f}")
