"""Fitness assignment: from a candidate's outcome to what the optimizer is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evaluators import Score
from service.experiment.candidate import Candidate, FitnessRecord
from service.optimizers.base import Evaluation
from service.search.criteria import Criteria, Profile, best_scores
from workers.protocol.messages import Outcome, Scored

FailurePolicy = Literal["worst", "penalty", "discard"]
PruningPolicy = Literal["estimate", "worst", "discard"]
PENALTY = 1.0  # violation that a failure counts as


@dataclass(frozen=True, slots=True)
class AssignedFitness:
    """What is known of a candidate that is about to be told.

    Attributes:
        fitness: Its own, larger is better; None without scores, or with mere estimates of them.
        evaluation: What the optimizer is told; None tells it nothing.
    """

    candidate: Candidate
    fitness: tuple[float, ...] | None
    record: FitnessRecord
    evaluation: Evaluation | None


class FitnessAssigner:
    """Assigns fitness to candidates in the order in which they are told; the baselines before all others.

    What a candidate without scores (failed, infeasible) counts as is set by the policy: as the
    *worst* seen so far in every objective; as that and as breaking the constraints by 1, a
    *penalty* that ranks it behind whatever was scored; or it is *discarded*, not told at all.
    One that lost a race is told its *estimate*, which is enough to be ranked by, or as above.
    """

    def __init__(
        self,
        criteria: Criteria,
        policy: FailurePolicy = "worst",
        pruned: PruningPolicy = "estimate",
        *,
        items: bool = True,
    ) -> None:
        """Takes what is told of whom; `items`: whether the optimizer reads single items and margins."""
        self.criteria, self.policy, self.pruned, self.items = criteria, policy, pruned, items
        self._best: dict[str, Score] = {}  # the best parent's, per objective
        self._worst: tuple[float, ...] | None = None

    def assign(
        self, candidates: Sequence[Candidate], outcomes: Mapping[int, Outcome]
    ) -> list[AssignedFitness]:
        """Returns one assignment per candidate, in order.

        The parents' scores bound their own constraints as well: they are told together.
        """
        lost = {c.number for c in candidates if is_pruned(outcomes.get(c.number))}
        profiles = {c.number: profile_of(c, outcomes.get(c.number)) for c in candidates}
        parents = [
            profile
            for c in candidates
            if (profile := profiles[c.number]) and c.is_baseline and self.criteria.is_parent(profile.recipe)
        ]
        if parents:
            self._best = best_scores(parents)
        return [
            self._estimate(c, profiles[c.number]) if c.number in lost else self._assign(c, profiles[c.number])
            for c in candidates
        ]

    def reevaluate(self, candidate: Candidate, outcome: Outcome) -> AssignedFitness:
        """Assigns fitness anew to a candidate that has answered further items."""
        profile = profile_of(candidate, outcome)
        one = self._assign(candidate, profile)
        scores = () if profile is None else tuple(profile.scores.values())
        return replace(one, record=replace(one.record, scores=scores))

    def _assign(self, candidate: Candidate, profile: Profile | None) -> AssignedFitness:
        if profile is None:
            return AssignedFitness(
                candidate, None, FitnessRecord(candidate.number), self._without_scores(candidate)
            )
        fitness = tuple(score.fitness for score in profile.scores.values())
        self._worst = fitness if self._worst is None else tuple(map(min, self._worst, fitness))
        record = FitnessRecord(
            candidate.number,
            self.criteria.measured(profile),
            self.criteria.violation(profile, self._best),
            _partial(profile),
        )
        if candidate.genome is None:
            return AssignedFitness(candidate, fitness, record, None)
        evaluation = Evaluation(
            candidate.number,
            candidate.genome,
            fitness,
            not candidate.is_evolved,
            items=tuple(score.item_fitness for score in profile.scores.values()) if self.items else (),
            measures=record.measures,
            violation=record.violation,
            margins=_margins(profile) if self.items else (),
        )
        return AssignedFitness(candidate, fitness, record, evaluation)

    def _estimate(self, candidate: Candidate, profile: Profile | None) -> AssignedFitness:
        """Assigns an estimate to a candidate that lost a race: it can be neither best nor an elite."""
        record = FitnessRecord(candidate.number, scores=() if profile is None else _partial(profile))
        if profile is None or candidate.genome is None or self.pruned != "estimate":
            told = None if self.pruned == "discard" else self._as_worst(candidate)
            return AssignedFitness(candidate, None, record, told)
        fitness = tuple(score.fitness for score in profile.scores.values())
        return AssignedFitness(
            candidate, None, record, Evaluation(candidate.number, candidate.genome, fitness)
        )

    def _without_scores(self, candidate: Candidate) -> Evaluation | None:
        violation = PENALTY if self.policy == "penalty" else 0.0
        return None if self.policy == "discard" else self._as_worst(candidate, violation)

    def _as_worst(self, candidate: Candidate, violation: float = 0.0) -> Evaluation | None:
        if self._worst is None or candidate.genome is None:
            return None
        return Evaluation(
            candidate.number, candidate.genome, self._worst, not candidate.is_evolved, violation=violation
        )


def _partial(profile: Profile) -> tuple[Score, ...]:
    """Returns the scores where they stand for more items than were asked."""
    scores = tuple(profile.scores.values())
    return scores if any(score.item_indices for score in scores) else ()


def _margins(profile: Profile) -> tuple[tuple[float, ...], ...]:
    """Returns the items' margins per objective; () where no objective's are known."""
    margins = tuple(() if score.item_indices else score.margins for score in profile.scores.values())
    return margins if any(margins) else ()


def is_pruned(outcome: Outcome | None) -> bool:
    """Says whether a candidate lost a race, so that its scores are estimates."""
    return isinstance(outcome, Scored) and outcome.pruned


def profile_of(candidate: Candidate, outcome: Outcome | None) -> Profile | None:
    """Returns a candidate as criteria see it; None without a recipe or scores."""
    if not isinstance(outcome, Scored) or candidate.digest is None:
        return None
    return Profile(candidate, {score.benchmark: score for score in outcome.scores})
