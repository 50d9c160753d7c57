"""FidelityPolicy: which items a candidate is asked, when, whom it races, and which are re-evaluated.

A generation may be asked a part of the items; then the elites are asked it as well (see `subsampling`),
as soon as its first candidate is asked for.  A candidate that races waits until its rival has answered
the same items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evaluators import ItemIndices, Race
from search_spaces import Recipe
from service.experiment.candidate import Candidate, Reevaluation, Remembered
from service.experiment.findings import EstimatorFinding
from service.search.dispatcher import Dispatcher, EvaluationRequest
from service.search.fidelity.racing_rules import RaceRule
from service.search.fidelity.subsampling import RotationRule, Subsampling
from service.search.fidelity.successive_halving import HalvingRule, SuccessiveHalving
from workers.protocol.messages import Outcome, Scored


@dataclass(frozen=True, slots=True)
class Reevaluated:
    """An elite that has answered further items.

    Attributes:
        outcome: With values on all items, from all that it has answered.
        worked: Seconds that a worker was at it.
    """

    candidate: Candidate
    outcome: Outcome
    worked: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    candidate: Candidate
    recipe: Recipe
    ask_seconds: float


class FidelityPolicy:
    """Turns candidates into orders, and the dispatcher's outcomes into what they say of all items."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        race: RaceRule | None = None,
        rotation: RotationRule | None = None,
        halving: HalvingRule | None = None,
    ) -> None:
        self.dispatcher, self.race, self.halving = dispatcher, race, halving
        self.subsampling = None if rotation is None else Subsampling(rotation)
        self._waiting: list[_Waiting] = []
        self._elites: dict[int, list[Candidate]] = {}  # by generation, until they are re-evaluated
        self._told: dict[int, Candidate] = {}  # those that may be re-evaluated
        self._known: dict[int, tuple[Reevaluation, ...]] = {}  # what is remembered of that
        self._rivals: dict[int, int | None] = {}  # whom a candidate races
        self._halvings: dict[int, SuccessiveHalving] = {}  # by generation

    @property
    def asks_all_items(self) -> bool:
        """Says whether every candidate is asked all items, however many others there are."""
        return self.race is None and self.halving is None and self.subsampling is None

    @property
    def estimator(self) -> EstimatorFinding | None:
        """How the estimator stands that values candidates by a part of the items, if there is one."""
        return None if self.subsampling is None else self.subsampling.check.finding()

    def open(self, generation: int, ranked: Callable[[], Sequence[int]]) -> None:
        """Decides what a generation is asked, and has the elites asked it as well.

        Args:
            generation: The first of whose candidates is asked for now.
            ranked: Returns all that may be elites, the best first.
        """
        if self.subsampling is None or generation == 0 or generation in self._elites:
            return
        items = self.subsampling.items(generation)
        self._elites[generation] = [self._told[number] for number in self.subsampling.elites(ranked())]
        for candidate in self._elites[generation]:
            known = {again.generation: again for again in self._known.get(candidate.number, ())}
            if generation in known:
                self.dispatcher.again[candidate.number, generation] = known[generation]
            elif isinstance(candidate.recipe, Recipe):
                self.dispatcher.add(EvaluationRequest(candidate, candidate.recipe, items, again=generation))

    def admit(
        self,
        candidate: Candidate,
        known: Remembered | None,
        best: tuple[int, float] | None,
        ask_seconds: float,
    ) -> None:
        """Takes a candidate in: to be asked, or as it is remembered.

        Args:
            candidate: The candidate.
            known: What the journal knows of it.
            best: Who is the best at this moment: its rival, where there are races.
            ask_seconds: What proposing it took.
        """
        number = candidate.number
        raced = self.race is not None and candidate.is_evolved
        self._rivals[number] = best[0] if raced and best is not None else None
        if known is not None and known.outcome is not None:
            self._known[number] = known.again
            self._remember(candidate, known.outcome, known.worked)
            if (halving := self._halving(candidate)) is not None:
                halving.admit(number)
        elif isinstance(candidate.recipe, Recipe):
            self._waiting.append(_Waiting(candidate, candidate.recipe, ask_seconds))

    def dispatch(self) -> None:
        """Hands over the candidates that wait and can be asked now."""
        kept = []
        for one in self._waiting:
            generation = one.candidate.generation
            if self.race is not None and not self.complete(generation):
                kept.append(one)
                continue
            race, items = self._race(one.candidate), self._items(generation)
            request = EvaluationRequest(one.candidate, one.recipe, items, race, one.ask_seconds)
            if (halving := self._halving(one.candidate)) is None:
                self.dispatcher.add(request)
            else:
                halving.admit(one.candidate.number, request)
        self._waiting = kept
        for halving in self._halvings.values():
            halving.climb()

    def complete(self, generation: int) -> bool:
        """Says whether all elites of a generation have answered, or failed to."""
        return all((c.number, generation) in self.dispatcher.again for c in self._elites.get(generation, ()))

    def estimated(self, candidates: Sequence[Candidate]) -> Mapping[int, Outcome]:
        """Returns the outcomes of candidates that are told now, with values on all items."""
        if self.subsampling is None and self.halving is None:
            return self.dispatcher.outcomes
        found: dict[int, Outcome] = {}
        for candidate in candidates:
            number, outcome = candidate.number, self.dispatcher.outcomes.get(candidate.number)
            if self.subsampling is not None:
                rival = self._rivals.get(number)
                outcome = self.subsampling.tell(number, candidate.generation, outcome, rival)
                self._told[number] = candidate
            if outcome is not None:
                found[number] = outcome
        for generation in {candidate.generation for candidate in candidates} & self._halvings.keys():
            self._leave_behind(generation, found)
        return found

    def reevaluated(self, generation: int) -> list[Reevaluated]:
        """Returns, once, what the elites are worth that have answered a generation's items."""
        found = []
        for candidate in self._elites.get(generation, ()):
            again = self.dispatcher.again[candidate.number, generation]
            outcome = self.dispatcher.outcomes[candidate.number]
            if self.subsampling is None or not again.answered:  # what was known of it stays
                continue
            if (estimated := self.subsampling.observe(candidate.number, generation, outcome)) is not None:
                found.append(Reevaluated(candidate, estimated, again.worked))
        self._elites[generation] = []
        return found

    def _halving(self, candidate: Candidate) -> SuccessiveHalving | None:
        """Returns what a candidate's generation climbs, if it does."""
        generation = candidate.generation
        if self.halving is None or not candidate.is_evolved:
            return None
        if generation not in self._halvings:
            items = self._items(generation)
            self._halvings[generation] = SuccessiveHalving(self.halving, items, self.dispatcher)
        return self._halvings[generation]

    def _leave_behind(self, generation: int, found: dict[int, Outcome]) -> None:
        """Estimates the scores of a generation's losers from its finalists; that ends the generation."""
        halving = self._halvings.pop(generation)
        scored = {number: outcome for number, outcome in found.items() if isinstance(outcome, Scored)}
        top = [number for number, outcome in scored.items() if not outcome.pruned]
        for number, outcome in scored.items():
            if outcome.pruned:
                found[number] = halving.estimated(outcome, [scored[n] for n in top], top)

    def _remember(self, candidate: Candidate, outcome: Outcome, worked: float) -> None:
        generation, own = candidate.generation, outcome
        if self.subsampling is not None:
            own = self.subsampling.among(outcome, generation) or outcome
        self.dispatcher.remember(candidate, own, items=self._items(generation))
        self.dispatcher.outcomes[candidate.number] = outcome  # with what it answered later
        self.dispatcher.worked[candidate.number] = worked

    def _race(self, candidate: Candidate) -> Race | None:
        rival = self._rivals[candidate.number]
        if self.race is None or rival is None:
            return None
        outcome = self.dispatcher.outcomes[rival]
        if self.subsampling is None:
            return self.race.against(outcome)
        return self.race.against(self.subsampling.among(outcome, candidate.generation), part=True)

    def _items(self, generation: int) -> ItemIndices | None:
        return None if self.subsampling is None else self.subsampling.items(generation)
