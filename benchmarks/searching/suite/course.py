"""Course: what a search's user would have got after so many evaluations, chosen as the product chooses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np

from benchmarks.searching.suite.ours import Searched
from benchmarks.searching.suite.stage import Stage
from evaluators import Split
from search_spaces import Recipe
from service.archives.pareto import ParetoArchive, hypervolume_of
from service.examination.choice import winner_of
from service.examination.finalists import finalists, fitness_of, mean_of, violations_of
from service.experiment.candidate import Candidate, CandidateKind, Remembered
from workers.protocol.messages import Outcome, Scored

STEP = 5  # evaluations between two looks


@dataclass(frozen=True, slots=True)
class Look:
    """Where a search stands after some evaluations, generation 0 counted.

    Attributes:
        held_out: The winner's weighted mean on the test split; or the front's hypervolume there.
        search: The highest weighted mean on the search split.
        seconds: The optimizer's own, and those of the evaluations so far.
        winner: Of which kind the winner is.
    """

    evaluations: int
    held_out: float
    search: float
    seconds: float
    winner: str


@dataclass(slots=True)
class Judge:
    """Looks at one search again and again, as the product's examination would."""

    stage: Stage
    searched: Searched
    _asked: dict[tuple[str, Split], Outcome] = field(default_factory=dict)

    def looks(self) -> Iterator[Look]:
        """Yields a look every few evaluations, from the first at which anything was scored."""
        remembered = self.searched.remembered
        for count in range(STEP, len(remembered) + 1, STEP):
            known = [r for r in remembered[:count] if isinstance(r.outcome, Scored)]
            if not known:
                continue
            held_out, kind = self._front(known) if self.stage.problem.is_front else self._winner(known, count)
            best = max(mean_of(r.outcome, self.stage.weights) for r in known)
            yield Look(count, held_out, best, self._seconds(count), kind)

    def _winner(self, known: list[Remembered], count: int) -> tuple[float, str]:
        """Returns what the selection split chooses is worth on the test split, and its kind."""
        weights = self.stage.weights
        chosen = finalists(known, weights, self.stage.spec.examination.finalists)
        chosen += self._mean(known, count)
        selection = {one.number: self._ask(one, "selection") for one in chosen}
        search = {r.candidate.number: r.outcome for r in known if r.outcome is not None}
        search |= {one.number: self._ask(one, "search") for one in chosen if one.number not in search}
        broken = violations_of(known) if self.stage.spec.constraints else {}
        number = winner_of(chosen, search, selection, weights, broken)
        winner = next(one for one in chosen if one.number == number)
        return mean_of(self._ask(winner, "test"), weights), winner.kind.value

    def _mean(self, known: list[Remembered], count: int) -> list[Candidate]:
        """Returns the middle of the optimizer's distribution as it last was, if it has one and it is new."""
        means = [genome for told, genome in self.searched.means if told <= count]
        recipe = self.stage.space.decode(means[-1]) if means else None
        digests = {r.candidate.recipe.digest for r in known if isinstance(r.candidate.recipe, Recipe)}
        if not isinstance(recipe, Recipe) or recipe.digest in digests:
            return []
        number = len(self.searched.remembered)
        return [Candidate(uuid4(), number, 0, means[-1], recipe, kind=CandidateKind.MEAN)]

    def _front(self, known: list[Remembered]) -> tuple[float, str]:
        """Returns the hypervolume, over 0, of what the search's front is on the test split."""
        archive, weights = ParetoArchive(), self.stage.weights
        for one in (r for r in known if not r.violation):
            archive.add(one.candidate.number, fitness_of(one.outcome), mean_of(one.outcome, weights))
        front = set(archive.front)
        points = [fitness_of(self._ask(r.candidate, "test")) for r in known if r.candidate.number in front]
        return hypervolume_of(np.array(points), (0.0,) * len(weights)), "front"

    def _ask(self, candidate: Candidate, split: Split) -> Outcome:
        if not isinstance(candidate.recipe, Recipe):
            raise TypeError(f"candidate {candidate.number} has no recipe, but scores; look at the loop")
        key = (candidate.recipe.digest, split)
        if key not in self._asked:
            self._asked[key] = self.stage.evaluator.ask(candidate.recipe, split)
        return self._asked[key]

    def _seconds(self, count: int) -> float:
        own = [seconds for told, seconds in self.searched.own_seconds if told <= count]
        asked = (r.outcome for r in self.searched.remembered[:count])
        spent = [o.merge_seconds + o.evaluate_seconds for o in asked if isinstance(o, Scored)]
        return math.fsum(spent) + (own[-1] if own else 0.0)
