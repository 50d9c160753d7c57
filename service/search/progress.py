"""SearchProgress: front, best candidate, failures and costs so far, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.archives.pareto import ParetoArchive
from service.experiment.candidate import CandidateKind
from service.search.fitness import AssignedFitness
from service.search.journal import GenerationSummary
from service.search.plan import Ending, SearchPlan
from workers.protocol.messages import Failed, Outcome


class SearchProgress:
    """The front, the best, failures and costs, as a function of what was told so far, in order.

    So a search that goes on elsewhere comes to the same conclusions.  Candidates that break a
    constraint are neither best nor on the front.
    """

    def __init__(self, plan: SearchPlan, scalar: Callable[[Sequence[float]], float]) -> None:
        self.plan, self.scalar = plan, scalar
        self.archive = ParetoArchive()
        self.failures = 0
        self.gpu_seconds = 0.0
        self._fruitless = 0  # evolved candidates told since one improved something

    def note(self, one: AssignedFitness, outcome: Outcome | None, worked: float) -> None:
        """Takes a candidate in.

        Args:
            one: Of the candidate.
            outcome: How it ended; None where it never had a recipe.
            worked: Seconds that workers were at it.
        """
        number, fitness = one.candidate.number, one.fitness
        self.gpu_seconds += worked * self.plan.gpus
        self.failures += isinstance(outcome, Failed)
        if fitness is not None and not one.record.violation:
            is_known = one.candidate.kind is CandidateKind.KNOWN
            self.archive.add(number, fitness, self.scalar(fitness), is_reference=not is_known)
        best = self.archive.best
        improved = number in self.archive.front or (best is not None and best[0] == number)
        if improved or one.candidate.is_baseline:
            self._fruitless = 0
        else:
            self._fruitless += one.candidate.is_evolved

    def retell(self, one: AssignedFitness, worked: float) -> None:
        """Takes in that a candidate is worth something else; `worked` are the seconds that it took."""
        fitness = None if one.record.violation else one.fitness
        self.gpu_seconds += worked * self.plan.gpus
        self.archive.retell(one.candidate.number, fitness, 0.0 if fitness is None else self.scalar(fitness))

    @property
    def too_many_failures(self) -> bool:
        """Says whether more candidates failed than the budget allows."""
        return self.failures > self.plan.budget.failures

    def enough(self) -> Ending | None:
        """Says why nothing more should be asked for, if there is a reason in what was told."""
        best, budget = self.archive.best, self.plan.budget
        if budget.target is not None and best is not None and best[1] >= budget.target:
            return Ending.TARGET_REACHED
        if budget.stagnation is not None and self._fruitless >= budget.stagnation:
            return Ending.STAGNATED
        if budget.gpu_hours is not None and self.gpu_seconds >= budget.gpu_hours * 3600:
            return Ending.GPU_HOURS_SPENT
        return None

    def summary(self, generation: int, told: int) -> GenerationSummary:
        """Returns what is noted after a generation."""
        best = self.archive.best
        return GenerationSummary(
            generation=generation,
            settled=told,
            best=best[1] if best else None,
            best_number=best[0] if best else None,
            hypervolume=self.archive.hypervolume,
            front=self.archive.front,
            reference=self.archive.reference,
        )
