"""The search: ask -> decode -> dispatch -> tell, a generation at a time.

This is the whole product in one file.  An optimizer proposes genomes, the search space decodes
them into recipes, workers merge and score each, and the scores are told back in the order asked.
Everything is written to the journal before it counts, so that start, resume and recovery after a
crash are one path: what the journal remembers is told again, what it does not know is done.

It knows no SQL, no HTTP, no Ray and no torch: only its two ports, `Workforce` and `Journal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from uuid import uuid4

from search_spaces import Genome, Recipe, SearchSpace
from search_spaces.errors import NotInSpaceError
from service.archives.pareto import ParetoArchive
from service.candidate import Candidate, Remembered
from service.dispatcher import Dispatcher
from service.errors import ReplayMismatchError
from service.journal import Journal, Progress, Wish
from service.optimizers.base import Evaluation, Optimizer
from workers.messages import Failed, Outcome, Scored, Workforce


class Ending(StrEnum):
    """Why the loop stopped turning."""

    BUDGET_SPENT = "budget spent"
    TIME_SPENT = "time spent"
    TARGET_REACHED = "target reached"
    STAGNATED = "nothing better for a while"
    TOO_MANY_FAILURES = "too many failures"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


_ENDINGS = {Wish.PAUSE: Ending.PAUSED, Wish.CANCEL: Ending.CANCELLED, Wish.STOP: Ending.STOPPED}


@dataclass(frozen=True, slots=True)
class Baseline:
    """A recipe of generation 0: something the search must beat."""

    label: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What the loop is to do.

    Attributes:
        candidates: How many to evolve, the baselines not counted.
        seconds: Wall-clock limit; a generation under way is finished.
        failures: Failed candidates that are put up with.
        timeout: Seconds that one evaluation may take.
        target: Weighted mean of the objectives at which the search ends.
        stagnation: Evolved candidates in a row that improve nothing, after which it ends.
    """

    baselines: tuple[Baseline, ...]
    candidates: int
    seconds: float | None = None
    failures: int = 20
    timeout: float = 3600.0
    target: float | None = None
    stagnation: int | None = None

    def generations(self, population: int) -> Iterator[range]:
        """Yields the candidate numbers of each generation; generation 0 holds the baselines."""
        first = len(self.baselines)
        yield range(first)
        for start in range(first, first + self.candidates, population):
            yield range(start, min(start + population, first + self.candidates))


class SearchLoop:
    """Turns generations until the budget is spent or people wish otherwise."""

    def __init__(
        self,
        plan: SearchPlan,
        *,
        space: SearchSpace,
        optimizer: Optimizer,
        workforce: Workforce,
        journal: Journal,
    ) -> None:
        self.plan, self.space, self.optimizer = plan, space, optimizer
        self.journal = journal
        self.dispatcher = Dispatcher(workforce, journal, timeout=plan.timeout)
        self.archive = ParetoArchive()
        self.failures = 0
        self._fruitless = 0  # evolved candidates told since one improved something
        self._worst: tuple[float, ...] | None = None
        self._remembered: dict[int, Remembered] = {}

    def run(self) -> Ending:
        """Turns one generation after the other; returns why it stopped."""
        self._remembered = {r.candidate.number: r for r in self.journal.recall()}
        started = monotonic()
        for generation, numbers in enumerate(self.plan.generations(self.optimizer.population)):
            under_way = numbers.start in self._remembered  # it is finished, whatever the clock says
            ending = None if under_way else self._enough() or self._reason_to_stop(started)
            ending = ending or self.turn(generation, numbers)
            if ending is not None:
                return ending
        return Ending.BUDGET_SPENT

    def _reason_to_stop(self, started: float) -> Ending | None:
        """Says why no further generation should begin, if there is a reason."""
        if self.plan.seconds is not None and monotonic() - started > self.plan.seconds:
            return Ending.TIME_SPENT
        wish = self.journal.wish()
        return None if wish is None else _ENDINGS[wish]

    def _enough(self) -> Ending | None:
        """Says whether what is known leaves nothing to hope for; the same after every restart."""
        best, plan = self.archive.best, self.plan
        if plan.target is not None and best is not None and best[1] >= plan.target:
            return Ending.TARGET_REACHED
        if plan.stagnation is not None and self._fruitless >= plan.stagnation:
            return Ending.STAGNATED
        return None

    def turn(self, generation: int, numbers: range) -> Ending | None:
        """Has these candidates proposed, scored and learned from; returns why not, if so."""
        candidates, ask_seconds = self._propose(generation, numbers)
        outcomes = self.dispatcher.settle(candidates, self._remembered_outcomes(numbers), ask_seconds)
        if isinstance(outcomes, Wish):
            return _ENDINGS[outcomes]
        self._learn(generation, candidates, outcomes)
        return Ending.TOO_MANY_FAILURES if self.failures > self.plan.failures else None

    def _remembered_outcomes(self, numbers: range) -> dict[int, Outcome]:
        found = {n: self._remembered[n].outcome for n in numbers if n in self._remembered}
        return {number: outcome for number, outcome in found.items() if outcome is not None}

    def _propose(self, generation: int, numbers: range) -> tuple[list[Candidate], float]:
        """Returns the generation's candidates: those remembered, and those asked for now."""
        known = [self._remembered[n].candidate for n in numbers if n in self._remembered]
        if len(known) == len(numbers) and all(self._remembered[n].told is not None for n in numbers):
            return known, 0.0
        started = monotonic()
        fresh = self._baselines() if generation == 0 else self._ask(generation, numbers)
        ask_seconds = (monotonic() - started) / max(len(numbers), 1)
        for old, new in zip(known, fresh, strict=False):
            if old.genome != new.genome or old.recipe != new.recipe:
                raise ReplayMismatchError(old.number)
        if len(fresh) > len(known):  # before dispatch: a crash must not forget what is on a GPU
            self.journal.proposed(fresh[len(known) :])
        return known + fresh[len(known) :], ask_seconds

    def _ask(self, generation: int, numbers: range) -> list[Candidate]:
        genomes = self.optimizer.ask(numbers)
        return [
            Candidate(uuid4(), n, generation, g, self.space.decode(g))
            for n, g in zip(numbers, genomes, strict=True)
        ]

    def _baselines(self) -> list[Candidate]:
        return [
            Candidate(uuid4(), number, 0, genome_of(self.space, b.recipe), b.recipe, b.label)
            for number, b in enumerate(self.plan.baselines)
        ]

    def _learn(
        self, generation: int, candidates: Sequence[Candidate], outcomes: Mapping[int, Outcome]
    ) -> None:
        """Tells the scores in the order asked, whatever order the workers finished in."""
        started = monotonic()
        evaluations = []
        for candidate in candidates:
            outcome = outcomes.get(candidate.number)
            self._note(candidate, outcome)
            fitness = self._fitness(outcome)
            if fitness is None or candidate.genome is None:
                continue
            evaluations.append(Evaluation(candidate.number, candidate.genome, fitness, candidate.is_baseline))
        self.optimizer.tell(evaluations)
        self.archive.fix_reference()  # once: by the baselines, as far as any of them could be scored
        untold = [
            c.number for c in candidates if (r := self._remembered.get(c.number)) is None or r.told is None
        ]
        if untold:
            progress = self._progress(generation, candidates[-1].number + 1 if candidates else 0)
            self.journal.told(untold, progress, monotonic() - started)

    def _note(self, candidate: Candidate, outcome: Outcome | None) -> None:
        if isinstance(outcome, Scored):
            fitness = tuple(score.fitness for score in outcome.scores)
            self._worst = fitness if self._worst is None else tuple(map(min, self._worst, fitness))
            self.archive.add(candidate.number, fitness, self.optimizer.scalar(fitness))
        elif isinstance(outcome, Failed):
            self.failures += 1
        best = self.archive.best
        improved = candidate.number in self.archive.front or (
            best is not None and best[0] == candidate.number
        )
        self._fruitless = 0 if improved or candidate.is_baseline else self._fruitless + 1

    def _fitness(self, outcome: Outcome | None) -> tuple[float, ...] | None:
        """A candidate without scores is told as the worst seen so far, in every objective."""
        if isinstance(outcome, Scored):
            return tuple(score.fitness for score in outcome.scores)
        return self._worst

    def _progress(self, generation: int, settled: int) -> Progress:
        best = self.archive.best
        return Progress(
            generation=generation,
            settled=settled,
            best=best[1] if best else None,
            best_number=best[0] if best else None,
            hypervolume=self.archive.hypervolume,
            front=self.archive.front,
            reference=self.archive.reference,
        )


def genome_of(space: SearchSpace, recipe: Recipe) -> Genome | None:
    """Returns the genome of a recipe, or None where the space cannot express it."""
    try:
        return space.encode(recipe)
    except NotInSpaceError:  # a baseline may be anything
        return None
