"""The search: ask -> decode -> dispatch -> tell.

This is the whole product in one file.  An optimizer proposes genomes, the search space decodes
them into recipes, workers merge and score each, and the scores are told back.  Everything is
written to the journal before it counts, so that start, resume and recovery after a crash are one
path: what the journal remembers is told again, what it does not know is done.

A schedule says after how many tells each candidate is asked for: after the generation before its
own, or as soon as the one a window ahead was told, so that no worker waits for a slower one.  As
that goes by numbers alone, crashes and the number of workers change nothing.  Told as they come
(`plan.order`), candidates depend on which worker was faster; then the order of telling is what is remembered.

A recipe that a person put into the queue takes the place of the next candidate that would be asked for: its
row, with its number, is the record of when that was.  It is told like a baseline, and never asked for again.

Which items a candidate is asked is up to the fidelity policy: where a generation answers a part of the
items only, the elites answer it as well, and their new scores are told before that generation.

It knows no SQL, no HTTP, no Ray and no torch: only its two ports, `Workforce` and `Journal`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import monotonic
from uuid import uuid4

from search_spaces import Genome, Recipe, SearchSpace
from search_spaces.errors import NotInSpaceError
from service.errors import ReplayMismatchError
from service.experiment.candidate import Candidate, CandidateKind, Remembered
from service.experiment.enqueued import Enqueued
from service.optimizers.base import Forecast, Optimizer
from service.search.collector import collector_waiting
from service.search.dispatcher import Dispatcher
from service.search.fidelity.policy import FidelityPolicy
from service.search.fitness import AssignedFitness, FitnessAssigner
from service.search.history import asked_by, next_piece, told_for_good
from service.search.journal import ControlRequest, Journal
from service.search.plan import Ending, SearchPlan
from service.search.progress import SearchProgress
from workers.protocol.messages import Workforce

FORESEEN = 40  # further candidates, of which it is asked what they can be expected to gain


class SearchLoop:
    """Asks and tells until the budget is spent, enough was reached, or a request stops it."""

    def __init__(
        self,
        plan: SearchPlan,
        *,
        space: SearchSpace,
        optimizer: Optimizer,
        workforce: Workforce,
        journal: Journal,
        prove_all: bool = False,
    ) -> None:
        self.plan, self.space, self.optimizer, self.journal = plan, space, optimizer, journal
        self.prove_all = prove_all  # asks again for those as well that were told: law 1 as a check
        self.schedule = plan.schedule(optimizer.population)
        self.dispatcher = Dispatcher(
            workforce, journal, timeout=plan.timeout, again=journal, benchmarks=plan.benchmarks
        )
        self.fidelity = FidelityPolicy(
            self.dispatcher, race=plan.race, rotation=plan.rotation, halving=plan.halving
        )
        self.assigner = FitnessAssigner(
            plan.criteria, plan.failure_policy, plan.pruned, items=optimizer.reads_items
        )
        self.progress = SearchProgress(plan, optimizer.scalar)
        self._remembered: dict[int, Remembered] = {}
        self._replay: deque[int] = deque()  # evolved candidates in the order in which they were told
        self._open: dict[int, Candidate] = {}  # asked for, and not yet told
        self._asked = self._told = 0  # how many
        self._ending: Ending | None = None
        self._forecast: Forecast | None = None
        self._started = monotonic()

    @property
    def reason(self) -> str:
        """Why it stopped, and what further candidates promised, where the optimizer foresees it."""
        ending = self._ending or Ending.BUDGET_SPENT
        if ending not in (Ending.BUDGET_SPENT, Ending.NOTHING_TO_EXPECT, Ending.STAGNATED):
            return ending.value
        forecast = self._forecast or self.optimizer.forecast(FORESEEN)
        return ending.value if forecast is None else f"{ending.value}; expected: {forecast}"

    def run(self) -> Ending:
        """Goes on from wherever the journal stands; returns why it stopped."""
        self._started, ending = monotonic(), None
        with collector_waiting():
            history = self._recall()
            if self.plan.order == "committed" and self.fidelity.asks_all_items and not self.prove_all:
                self._fast_forward()
            while ending is None and self._told < history:
                ending = self._step()
        while ending is None:
            ending = self._step()
        self.journal.commit()
        return ending

    def _recall(self) -> int:
        """Reads what the journal remembers; returns how many candidates were told."""
        # A distribution's mean was added by the examination of a shorter search: no ask made it.
        recalled = (r for r in self.journal.recall() if not r.candidate.kind.is_added)
        self._remembered = {r.candidate.number: r for r in recalled}
        told = {n: r.told for n, r in self._remembered.items() if r.told is not None}
        self._replay = deque(sorted((n for n in told if n >= len(self.plan.baselines)), key=told.__getitem__))
        return len(told)

    def _fast_forward(self) -> None:
        """Tells what was told before and needs no proof: much faster than to ask for it all again."""
        end = told_for_good(self._remembered, self.schedule, self.plan.total)
        while self._told < end and self.journal.control_request() is None:
            no_reference = self.progress.archive.reference is None
            for number in (numbers := next_piece(self._told, end, self.schedule, to_boundary=no_reference)):
                known = self._remembered[number]
                if known.outcome is not None:
                    self.dispatcher.remember(known.candidate, known.outcome)
                    self.dispatcher.worked[number] = known.worked
            self._tell_all([self._remembered[number].candidate for number in numbers])
            if self.schedule.is_boundary(self._told):
                self.progress.archive.fix_reference()
            for number in numbers:  # a long history need not be kept twice
                del self._remembered[number]
        self._asked = asked_by(self._told, self._remembered, self.schedule)
        for number in range(self._told, self._asked):
            known = self._remembered[number]
            self._open[number] = known.candidate
            self.fidelity.admit(known.candidate, known, self.progress.archive.best, 0.0)

    def _step(self) -> Ending | None:
        """Does the next thing there is to do; returns why nothing more is."""
        control_request = self.journal.control_request()
        if control_request is ControlRequest.CANCEL or control_request is ControlRequest.STOP:
            self.dispatcher.abandon()
            return Ending.CANCELLED if control_request is ControlRequest.CANCEL else Ending.STOPPED
        if (
            control_request is ControlRequest.PAUSE
        ):  # what is out may finish; nothing is learned, so that nothing is missed
            if not self.dispatcher.has_work_out:
                return Ending.PAUSED
            self.dispatcher.step(hand_out=False)
            return None
        if control_request is ControlRequest.FINISH:
            self._ending = self._ending or Ending.FINISHED_EARLY
        self._ask()
        self.fidelity.dispatch()
        if self._tell():
            return None  # now others may be asked for
        if self.dispatcher.is_idle:
            return self._ending or Ending.BUDGET_SPENT
        self.dispatcher.step()
        return None

    # --- Asking

    def _ask(self) -> None:
        """Asks for all candidates that are due after what was told so far."""
        due = self._due()
        fresh = [number for number in due if number not in self._remembered]
        if fresh and (ending := self._reason_to_end()) is not None:
            self._ending, due, fresh = ending, [n for n in due if n in self._remembered], []
        unproven = [number for number in due if number in fresh or self._needs_proof(number)]
        started = monotonic()
        proposed = {c.number: c for c in self._propose(unproven, self._from_queue(fresh))}
        ask_seconds = (monotonic() - started) / max(len(unproven), 1)
        candidates = [self._proven(number, proposed.get(number)) for number in due]
        self._asked += len(due)
        self._open |= {candidate.number: candidate for candidate in candidates}
        if fresh:  # before dispatch: a crash must not forget what is on a GPU
            self.journal.proposed([proposed[number] for number in fresh])
        for candidate in candidates:
            self.fidelity.open(candidate.generation, self.progress.archive.ranked)
            known = self._remembered.get(candidate.number)
            self.fidelity.admit(candidate, known, self.progress.archive.best, ask_seconds)

    def _due(self) -> list[int]:
        numbers: list[int] = []
        number = self._asked
        while number in self._remembered or number < self.plan.total:
            if not self._is_due(number):
                break
            numbers.append(number)
            number += 1
        return numbers

    def _is_due(self, number: int) -> bool:
        """Says whether a candidate is to be asked for in the optimizer's present state."""
        wanted = self.schedule.told_before(number)
        if self.plan.order == "committed" or number < len(self.plan.baselines):
            return self._told == wanted
        if (known := self._remembered.get(number)) is not None:
            return self._told == known.candidate.asked_after
        return self._told >= wanted and not self._replay

    def _reason_to_end(self) -> Ending | None:
        """Says why no further candidate should be asked for, if there is a reason; it stays one."""
        if self._ending is None:
            self._ending = self.progress.enough() or self._nothing_to_expect()
        seconds, spent = self.plan.budget.seconds, self.plan.searched + monotonic() - self._started
        if self._ending is None and seconds is not None and spent > seconds:
            self._ending = Ending.TIME_SPENT
        return self._ending

    def _nothing_to_expect(self) -> Ending | None:
        """Says whether those that are left, as far as is looked, are expected to gain less than they must."""
        least = self.plan.budget.least_gain
        if least is None or self._told <= len(self.plan.baselines):
            return None
        forecast = self.optimizer.forecast(min(FORESEEN, self.plan.total - self._told))
        if forecast is None or forecast.gain >= least:
            return None
        self._forecast = forecast
        return Ending.NOTHING_TO_EXPECT

    def _needs_proof(self, number: int) -> bool:
        """Says whether a remembered candidate is asked for again, to see that it would be proposed."""
        known = self._remembered[number]
        if known.candidate.kind is CandidateKind.ENQUEUED:
            return False  # nothing proposed it
        return self.prove_all or known.told is None

    def _from_queue(self, fresh: Sequence[int]) -> dict[int, Enqueued]:
        """Returns whose places are taken by recipes that people put into the queue."""
        places = [number for number in fresh if number >= len(self.plan.baselines)]
        return dict(zip(places, self.journal.enqueued(len(places)) if places else (), strict=False))

    def _propose(self, numbers: Sequence[int], queued: Mapping[int, Enqueued]) -> list[Candidate]:
        first = len(self.plan.baselines)
        evolved = [number for number in numbers if number >= first and number not in queued]
        candidates = [self._baseline(number) for number in numbers if number < first]
        candidates += [self._enqueued(number, one) for number, one in queued.items()]
        for number, genome in zip(evolved, self.optimizer.ask(evolved), strict=True):
            origin = self.optimizer.origin(number)
            candidates.append(
                Candidate(
                    uuid4(),
                    number,
                    self.schedule.generation(number),
                    genome,
                    self.space.decode(genome),
                    operator=origin.operator,
                    ancestors=origin.ancestors,
                    asked_after=self._told,
                )
            )
        return candidates

    def _baseline(self, number: int) -> Candidate:
        baseline = self.plan.baselines[number]
        genome = genome_of(self.space, baseline.recipe)
        return Candidate(uuid4(), number, 0, genome, baseline.recipe, baseline.label, kind=baseline.kind)

    def _enqueued(self, number: int, one: Enqueued) -> Candidate:
        return Candidate(
            one.id,
            number,
            self.schedule.generation(number),
            genome_of(self.space, one.recipe),
            one.recipe,
            one.label,
            operator=one.by,
            ancestors=() if one.ancestor is None else (one.ancestor,),
            asked_after=self._told,
            kind=CandidateKind.ENQUEUED,
        )

    def _proven(self, number: int, proposed: Candidate | None) -> Candidate:
        """Returns the candidate as it is remembered, if that is what would be proposed now."""
        known = self._remembered.get(number)
        if known is None and proposed is not None:
            return proposed
        candidate = self._remembered[number].candidate
        if proposed is not None and (proposed.genome, proposed.recipe) != (
            candidate.genome,
            candidate.recipe,
        ):
            raise ReplayMismatchError(number)
        return candidate

    # --- Telling

    def _tell(self) -> bool:
        """Tells the optimizer of those whose turn it is, once all of them have ended; says whether."""
        numbers = self._next_told()
        if not numbers:
            return False
        started = monotonic()
        candidates = [self._open.pop(number) for number in numbers]
        for generation in sorted({candidate.generation for candidate in candidates}):
            self._retell(generation)
        self._write_down(self._tell_all(candidates), started)
        return True

    def _tell_all(self, candidates: Sequence[Candidate]) -> list[AssignedFitness]:
        """Tells the optimizer and the progress of candidates that have ended."""
        assigned = self.assigner.assign(candidates, self.fidelity.estimated(candidates))
        self.optimizer.tell([a.evaluation for a in assigned if a.evaluation is not None])
        self._told += len(candidates)
        for one in assigned:
            number = one.candidate.number
            outcome, worked = self.dispatcher.outcomes.get(number), self.dispatcher.worked.get(number, 0.0)
            self.progress.note(one, outcome, worked)
        if self.progress.too_many_failures:
            self._ending = Ending.TOO_MANY_FAILURES
        return assigned

    def _retell(self, generation: int) -> None:
        """Tells what the elites are worth now that they have answered a generation's items as well."""
        assigned = []
        for one in self.fidelity.reevaluated(generation):
            assigned.append(self.assigner.reevaluate(one.candidate, one.outcome))
            self.progress.retell(assigned[-1], one.worked)
        self.optimizer.retell([a.evaluation for a in assigned if a.evaluation is not None])
        if assigned:
            self.journal.retold([one.record for one in assigned])

    def _next_told(self) -> list[int]:
        """Returns which candidates are told next; none, while one of them is still being scored."""
        if self.plan.order == "completed" and self._told >= len(self.plan.baselines):
            if self._replay:
                return [self._replay.popleft()]
            return [number for number in self._open if self._has_ended(number)][:1]
        together = [n for n in self.schedule.told_together(self._told) if n in self._open]
        return together if all(map(self._has_ended, together)) else []

    def _has_ended(self, number: int) -> bool:
        """Says whether a candidate can be told: it has ended, and so have those that are told before it."""
        candidate = self._open[number]
        if not self.fidelity.complete(candidate.generation):
            return False
        return number in self.dispatcher.outcomes or candidate.digest is None

    def _write_down(self, assigned: Sequence[AssignedFitness], started: float) -> None:
        told = self._told
        is_last = told == self._asked and (self._ending is not None or told == self.plan.total)
        is_boundary = self.schedule.is_boundary(told)
        if is_boundary:
            self.progress.archive.fix_reference()  # once: by the baselines, if any of them has scores
        news = [
            a.record
            for a in assigned
            if (r := self._remembered.get(a.candidate.number)) is None or r.told is None
        ]
        if news:
            generation = self.schedule.generation(told - 1)
            summary = self.progress.summary(generation, told) if is_boundary or is_last else None
            if summary is not None:
                summary = replace(summary, estimator=self.fidelity.estimator)
            self.journal.told(news, summary, monotonic() - started)
        for one in assigned:  # a long history need not be kept twice
            self._remembered.pop(one.candidate.number, None)


def genome_of(space: SearchSpace, recipe: Recipe) -> Genome | None:
    """Returns the genome of a recipe, or None where the space cannot express it."""
    try:
        return space.encode(recipe)
    except NotInSpaceError:  # a baseline may be anything
        return None
