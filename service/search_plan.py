"""SearchPlan: what the search loop is to do, when it has done enough, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from evaluators import Race
from evaluators.sampling.racing import BATCH, Z
from search_spaces import Recipe
from service.appraisal import FailurePolicy, PruningPolicy
from service.criteria import Criteria
from service.ladder import HalvingRule
from service.rounds import RotationRule
from service.schedule import Generations, Schedule, SlidingWindow
from workers.messages import Outcome, Scored

Order = Literal["committed", "completed"]


class Ending(StrEnum):
    """Why the loop stopped turning."""

    BUDGET_SPENT = "budget spent"
    TIME_SPENT = "time spent"
    GPU_HOURS_SPENT = "GPU hours spent"
    TARGET_REACHED = "target reached"
    STAGNATED = "nothing better for a while"
    TOO_MANY_FAILURES = "too many failures"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A recipe of generation 0: something the search must beat."""

    label: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class RaceRule:
    """How candidates race the best one so far on the same items.

    Attributes:
        weights: The objectives' weights in the difference.
        z: Standard errors by which a candidate must lie behind.
        batch: Items between two looks.
        seed: Of the order of the items.
    """

    weights: tuple[float, ...]
    z: float = Z
    batch: int = BATCH
    seed: int = 0

    def against(self, outcome: Outcome | None, *, part: bool = False) -> Race | None:
        """Returns the race against a candidate, if it was asked all items and kept its answers.

        Args:
            outcome: The candidate's.
            part: Its scores hold the items that are raced on, and no others; they need not be all.
        """
        if not isinstance(outcome, Scored) or outcome.pruned:
            return None
        if any((score.item_indices and not part) or not score.per_item for score in outcome.scores):
            return None
        answers = tuple(score.item_fitness for score in outcome.scores)
        return Race(answers, self.weights, batch=self.batch, z=self.z, seed=self.seed)


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What the loop is to do.

    Attributes:
        candidates: How many to evolve, the baselines not counted.
        seconds: Wall-clock limit; what is under way is finished.
        gpu_seconds: Limit of the workers' seconds times `gpus`.
        failures: Failed candidates that are put up with.
        timeout: Seconds that one evaluation may take.
        target: Weighted mean of the objectives at which the search ends.
        stagnation: Evolved candidates in a row that improve nothing, after which it ends.
        window: Candidates that may be out at once; None goes by generations.
        order: In which order a window is told: `committed` by number, the same for any number of
            workers, or `completed`, as they come.
        criteria: What is measured and must hold beside the objectives.
        failure_policy: What the optimizer is told of a candidate without scores.
        race: How evolved candidates race the best one so far; None asks everyone everything.
        rotation: How many items a generation answers; None asks all.
        halving: How a generation is halved while it answers; None asks everyone everything.
        pruned: What the optimizer hears of those who lost a race or were left behind.
    """

    baselines: tuple[Baseline, ...]
    candidates: int
    seconds: float | None = None
    gpu_seconds: float | None = None
    gpus: float = 1.0
    failures: int = 20
    timeout: float = 3600.0
    target: float | None = None
    stagnation: int | None = None
    window: int | None = None
    order: Order = "committed"
    criteria: Criteria = field(default_factory=Criteria)
    failure_policy: FailurePolicy = "worst"
    race: RaceRule | None = None
    rotation: RotationRule | None = None
    halving: HalvingRule | None = None
    pruned: PruningPolicy = "estimate"

    @property
    def total(self) -> int:
        """Baselines and evolved candidates together."""
        return len(self.baselines) + self.candidates

    def schedule(self, population: int) -> Schedule:
        """Returns who is asked for after whom."""
        if self.window is None:
            return Generations(len(self.baselines), population)
        return SlidingWindow(len(self.baselines), population, self.window)
