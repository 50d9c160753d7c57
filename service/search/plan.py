"""SearchPlan: what the search loop is to do, when it has done enough, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from search_spaces import Recipe
from service.experiment.candidate import CandidateKind
from service.experiment.spec import Budget
from service.search.criteria import Criteria
from service.search.fidelity.racing_rules import RaceRule
from service.search.fidelity.subsampling import RotationRule
from service.search.fidelity.successive_halving import HalvingRule
from service.search.fitness import FailurePolicy, PruningPolicy
from service.search.schedule import Generations, Schedule, SlidingWindow

TellingOrder = Literal["committed", "completed"]


class Ending(StrEnum):
    """Why the loop stopped turning."""

    BUDGET_SPENT = "budget spent"
    TIME_SPENT = "time spent"
    GPU_HOURS_SPENT = "GPU hours spent"
    TARGET_REACHED = "target reached"
    STAGNATED = "nothing better for a while"
    NOTHING_TO_EXPECT = "nothing more to expect"
    TOO_MANY_FAILURES = "too many failures"
    FINISHED_EARLY = "stopped by request"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A recipe of generation 0: something the search must beat."""

    label: str
    recipe: Recipe
    kind: CandidateKind = CandidateKind.BASELINE


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What the loop is to do.

    Attributes:
        budget: When the search ends.
        searched: Seconds of searching that earlier runs have spent of it.
        gpus: GPUs of one worker.
        timeout: Seconds that one evaluation may take.
        window: Candidates that may be out at once; None goes by generations.
        order: In which order a window is told: `committed` by number, the same for any number of
            workers, or `completed`, as they come.
        criteria: What is measured and must hold beside the objectives.
        failure_policy: What the optimizer is told of a candidate without scores.
        race: How evolved candidates race the best one so far; None asks every candidate all items.
        rotation: How many items a generation answers; None asks all.
        halving: How a generation is halved while it answers; None asks every candidate all items.
        pruned: What the optimizer is told of candidates that lost a race or were left behind.
        benchmarks: The names of what every candidate is asked, in order; empty takes any answer.
    """

    baselines: tuple[Baseline, ...]
    budget: Budget
    searched: float = 0.0
    gpus: float = 1.0
    timeout: float = 3600.0
    window: int | None = None
    order: TellingOrder = "committed"
    criteria: Criteria = field(default_factory=Criteria)
    failure_policy: FailurePolicy = "worst"
    race: RaceRule | None = None
    rotation: RotationRule | None = None
    halving: HalvingRule | None = None
    pruned: PruningPolicy = "estimate"
    benchmarks: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Baselines and evolved candidates together."""
        return len(self.baselines) + self.budget.candidates

    def schedule(self, population: int) -> Schedule:
        """Returns which candidate is asked for after which."""
        if self.window is None:
            return Generations(len(self.baselines), population)
        return SlidingWindow(len(self.baselines), population, self.window)
