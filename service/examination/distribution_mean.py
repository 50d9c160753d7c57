"""The mean of the optimizer's distribution: proposed when a search ends, and scored like every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from search_spaces import Recipe, SearchSpace
from service.experiment.candidate import MEAN_LABEL, Candidate, CandidateKind
from service.optimizers import Optimizer
from service.search.dispatcher import Dispatcher
from service.search.journal import ControlRequest
from service.store.journal import DatabaseJournal
from workers.protocol.messages import Workforce


def propose_mean(journal: DatabaseJournal, optimizer: Optimizer, space: SearchSpace) -> None:
    """Adds the mean of the optimizer's distribution to the candidates, if it has one and it is new.

    A search over noisy scores ends with lucky candidates; the mean of what it would propose next is
    often better than any of them.
    """
    remembered = journal.recall()
    told = sum(each.told is not None for each in remembered)
    means = [each.candidate for each in remembered if each.candidate.kind is CandidateKind.MEAN]
    genome = optimizer.mean()
    if genome is None or any(mean.asked_after == told for mean in means):
        return
    recipe = space.decode(genome)
    known = {r.candidate.recipe.digest for r in remembered if isinstance(r.candidate.recipe, Recipe)}
    if not isinstance(recipe, Recipe) or recipe.digest in known:
        return
    last = remembered[-1].candidate
    number, generation = last.number + 1, last.generation + 1
    mean = Candidate(
        uuid4(), number, generation, genome, recipe, MEAN_LABEL, asked_after=told, kind=CandidateKind.MEAN
    )
    journal.proposed([mean])


def settle_added(
    journal: DatabaseJournal, workforce: Workforce, *, timeout: float, benchmarks: Sequence[str]
) -> ControlRequest | None:
    """Has what was added when the search ended scored on its items; the optimizer is not told of it."""
    waiting = [r.candidate for r in journal.recall() if r.candidate.kind.is_added and r.outcome is None]
    settled = Dispatcher(workforce, journal, timeout=timeout, benchmarks=benchmarks).settle(waiting, {})
    return settled if isinstance(settled, ControlRequest) else None
