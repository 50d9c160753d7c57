"""Replay: a new optimizer is told again all that a search remembers, and must propose it all again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from service.errors import ReplayMismatchError
from service.experiment.candidate import Candidate
from service.experiment.spec import ExperimentSpec
from service.search.journal import ControlRequest, ListJournal
from service.search.loop import SearchLoop
from service.specification.planning import build_optimizer_for, build_space_for, plan_for
from service.store.database import Database
from service.store.journal import DatabaseJournal
from service.store.models import ExperimentRow
from service.store.repository import Repository
from workers.protocol.messages import Assignment, Outcome
from workers.protocol.sole_workforce import SoleWorkforce


def unlike_candidate(database: Database, experiment_id: UUID) -> int | None:
    """Returns the first candidate that would not be proposed as it is stored; None where all would.

    Nothing is written; it takes as long as asking for all candidates did.
    """
    with database.reading() as session:
        row = Repository(session).experiment(experiment_id)
    journal = _Remembering(DatabaseJournal(database, experiment_id, row.epoch))
    try:
        _loop(row, journal).run()
    except ReplayMismatchError as error:
        return error.number
    return None


def _loop(row: ExperimentRow, journal: _Remembering) -> SearchLoop:
    spec = ExperimentSpec.model_validate({"chat": {"apply": "off"}} | row.spec)
    space = build_space_for(spec, row.facts)
    plan = plan_for(spec, row.facts, window=row.facts.get("window"))
    evolved = sum(e.candidate.kind.is_searched for e in journal.entries.values())
    # Nothing beyond what is there, and no end before it.
    budget = plan.budget.model_copy(
        update={
            "candidates": evolved, "seconds": None, "gpu_hours": None, "target": None, "stagnation": None,
            "least_gain": None, "failures": len(journal.entries),
        }
    )  # fmt: skip
    return SearchLoop(
        replace(plan, budget=budget),
        space=space,
        optimizer=build_optimizer_for(spec, space, row.facts),
        workforce=_NoWorkers(journal),
        journal=journal,
        prove_all=True,
    )


class _Remembering(ListJournal):
    """What a database's journal recalls, which learns nothing new."""

    def __init__(self, journal: DatabaseJournal) -> None:
        super().__init__()
        self.entries = {each.candidate.number: each for each in journal.recall()}

    def proposed(self, candidates: Sequence[Candidate]) -> None:
        """Ends the replay: all that is remembered has been asked for."""
        self.requested = ControlRequest.STOP
        super().proposed(candidates)


class _NoWorkers(SoleWorkforce):
    """Workers that do nothing: what has no outcome yet is where the replay ends."""

    slots = 0

    def __init__(self, journal: _Remembering) -> None:
        self.journal = journal

    def submit(self, assignment: Assignment) -> None:
        """Takes nothing: there are no slots."""

    def next_outcome(self, timeout: float) -> Outcome | None:  # noqa: ARG002
        """Ends the replay."""
        self.journal.requested = ControlRequest.STOP
        return None
