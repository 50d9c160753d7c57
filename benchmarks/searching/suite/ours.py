"""One of our optimizers, driven as the product drives it: its loop, its schedule, its generation 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.searching.suite.stage import Stage
from search_spaces import Genome
from service.experiment.candidate import FitnessRecord, Remembered
from service.optimizers import Optimizer
from service.search.journal import GenerationSummary, ListJournal
from service.search.loop import SearchLoop
from service.specification.planning import build_optimizer_for, plan_for, window_for


@dataclass(slots=True)
class Searched:
    """What a search tried, baselines included.

    Attributes:
        means: (evaluations told, the middle of what would be proposed next), in order.
        own_seconds: (evaluations told, seconds that the optimizer and its loop took), in order.
        ending: Why it ended.
    """

    remembered: list[Remembered]
    means: list[tuple[int, Genome]] = field(default_factory=list)
    own_seconds: list[tuple[int, float]] = field(default_factory=list)
    ending: str = ""


class _WatchedJournal(ListJournal):
    """Notes after every batch that was told what the optimizer's mean is, and the time."""

    def __init__(self, stage: Stage, optimizer: Optimizer) -> None:
        super().__init__()
        self._stage, self._optimizer = stage, optimizer
        self._began, self._before, self._paused = perf_counter(), stage.evaluator.seconds, 0.0
        self.searched = Searched([])

    def told(
        self, record: Sequence[FitnessRecord], progress: GenerationSummary | None, seconds: float
    ) -> None:
        """Notes that the optimizer learned of these candidates."""
        super().told(record, progress, seconds)
        now = perf_counter()
        count = sum(entry.told is not None for entry in self.entries.values())
        evaluating = self._stage.evaluator.seconds - self._before
        self.searched.own_seconds.append((count, now - self._began - evaluating - self._paused))
        mean = self._optimizer.mean()
        if mean is not None:
            self.searched.means.append((count, mean))
        self._paused += perf_counter() - now


def search_ours(stage: Stage, algorithm: str, seed: int, budget: int) -> Searched:
    """Returns what one of our optimizers tried within a budget of evaluations, generation 0 included."""
    baselines = len(stage.facts["baselines"])
    checked = stage.check(algorithm, max(budget - baselines, 1))
    spec = checked.spec.model_copy(update={"seed": seed})
    optimizer = build_optimizer_for(spec, stage.space, checked.facts)
    window = window_for(spec, optimizer, checked.facts, workers=1)
    plan = plan_for(spec, checked.facts, window=window)
    optimizer.ask([len(plan.baselines)])  # as the product does: loads libraries
    journal = _WatchedJournal(stage, optimizer)
    loop = SearchLoop(
        plan, space=stage.space, optimizer=optimizer, workforce=stage.evaluator, journal=journal
    )
    ending = loop.run()
    found = journal.searched
    found.remembered, found.ending = journal.recall(), ending.value
    return found
