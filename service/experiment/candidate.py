"""Candidate: a numbered row of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from evaluators import Score
from search_spaces import Genome, Infeasible, Recipe
from service.experiment.enqueued import EnqueuedBy
from workers.protocol.messages import Outcome


class CandidateKind(StrEnum):
    """Where a candidate comes from; a label is only what people call it.

    An optimizer proposed those that are `evolved`, a person those that were `enqueued` while the search
    went on; `known` are those that other experiments scored, and generation 0 holds as well.  When a search
    ends, `mean` and `scaled` are added.  All others, and usual recipes at the `scaled` weights of what was
    found, are baselines, which the search must beat.
    """

    PARENT = "parent"
    BASE = "base"
    AVERAGE = "average"
    BASELINE = "baseline"
    KNOWN = "known"
    EVOLVED = "evolved"
    ENQUEUED = "enqueued"
    MEAN = "mean"
    SCALED = "scaled"

    @property
    def is_baseline(self) -> bool:
        """Says whether the search must beat it."""
        return self not in _NO_BASELINES

    @property
    def is_searched(self) -> bool:
        """Says whether it took one of the places that the budget gives a search."""
        return self in (CandidateKind.EVOLVED, CandidateKind.ENQUEUED)

    @property
    def is_added(self) -> bool:
        """Says whether it was added when the search had ended; no optimizer is told of it."""
        return self in ADDED_KINDS

    @property
    def is_bare(self) -> bool:
        """Says whether it is one of the models as it is, and no merge."""
        return self in (CandidateKind.PARENT, CandidateKind.BASE)


_NO_BASELINES = (CandidateKind.KNOWN, CandidateKind.EVOLVED, CandidateKind.ENQUEUED, CandidateKind.MEAN)
ADDED_KINDS = (CandidateKind.MEAN, CandidateKind.SCALED)

MEAN_LABEL = "distribution's mean"
"""What the candidate is called that the middle of the optimizer's distribution makes."""


class CandidateStatus(StrEnum):
    """Where a candidate stands; every one ends exactly once."""

    PROPOSED = "proposed"
    SCORED = "scored"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is tried: a genome, the recipe it decodes to, and where both come from.

    Attributes:
        number: Its place in the experiment; the baselines come first.
        genome: None for a baseline that the search space cannot express.
        recipe: Infeasible where the genome decodes to none.
        label: What a person calls it, for baselines (`parent: left`, `plain average`).
        kind: What it is; `label` alone never decides that.
        operator: What the optimizer made it with (`crossover`, `sample` ...); empty for baselines.
        ancestors: Numbers of the candidates it was made of.
        asked_after: How many candidates the optimizer had been told of when it was asked for this one.
    """

    id: UUID
    number: int
    generation: int
    genome: Genome | None
    recipe: Recipe | Infeasible
    label: str | None = None
    operator: str = ""
    ancestors: tuple[int, ...] = ()
    asked_after: int = 0
    kind: CandidateKind = CandidateKind.EVOLVED

    @property
    def is_baseline(self) -> bool:
        """Says whether it belongs to generation 0, in which no optimizer had a part."""
        return self.kind.is_baseline

    @property
    def is_evolved(self) -> bool:
        """Says whether an optimizer proposed it."""
        return self.kind is CandidateKind.EVOLVED

    @property
    def is_asked_anew(self) -> bool:
        """Says whether no answer that was given before may be used."""
        return self.kind is CandidateKind.ENQUEUED and self.operator == EnqueuedBy.REEVALUATION

    @property
    def digest(self) -> str | None:
        """The recipe's digest; None where there is no recipe."""
        return self.recipe.digest if isinstance(self.recipe, Recipe) else None


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that one candidate cost, beside merging and evaluating.

    Attributes:
        ask: Its share of the optimizer's proposing.
        dispatch: From handing it out to its answer, less merging and evaluating and waiting in the queue.
        store: Writing its rows.
        worked: That a worker was at it, over all attempts, the lost ones included.
    """

    ask: float = 0.0
    dispatch: float = 0.0
    store: float = 0.0
    worked: float = 0.0


@dataclass(frozen=True, slots=True)
class FitnessRecord:
    """Where a candidate that was told stands beside its scores.

    Attributes:
        scores: With estimates of what it would score on all items, where it was asked a part; else empty.
        measures: One per measure of the experiment; empty where it has none (it failed).
        violation: By how much it breaks the constraints, summed; 0 keeps them all.
    """

    number: int
    measures: tuple[float, ...] = ()
    violation: float = 0.0
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class Reevaluation:
    """That a candidate was asked the items of a later generation as well.

    Attributes:
        answered: It has answered; else its worker failed, and what was known of it stays.
        worked: Seconds that a worker was at it.
    """

    generation: int
    answered: bool
    worked: float = 0.0


@dataclass(frozen=True, slots=True)
class Remembered:
    """A candidate as the journal holds it.

    Attributes:
        told: Its place in the order of telling.
        worked: Seconds that workers were at it.
        violation: By how much it breaks the constraints, as far as it was told.
        again: In which later generations it was asked further items.
    """

    candidate: Candidate
    outcome: Outcome | None = None
    told: int | None = None
    worked: float = 0.0
    violation: float = 0.0
    again: tuple[Reevaluation, ...] = ()
