"""A search that goes on while it is looked at: candidates settle one by one, as a controller notes them."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import func, insert, select

from evaluators import Score
from service.store.database import Database
from service.store.models import CandidateRow, EvaluationRow
from service.store.repository import Repository
from service.store.rows import evaluation_rows
from service.store.types import now

ITEMS = 50


class GrowingSearch:
    """Adds candidates to a running experiment, and knows when each was to be seen in the database."""

    def __init__(self, database: Database, key: UUID, objectives: int) -> None:
        self.database, self.key, self.objectives = database, key, objectives
        self.rng = np.random.default_rng(1)
        self.settled_at: dict[int, float] = {}
        with database.reading() as session:
            last = select(func.max(CandidateRow.number)).where(CandidateRow.experiment_id == key)
            self.count = (session.scalar(last) or 0) + 1
            found = session.scalars(select(CandidateRow).where(CandidateRow.experiment_id == key)).first()
            if found is None:
                raise ValueError(f"experiment {key} has no candidate to begin with")
            self._recipe, self._genome = found.recipe, found.genome

    def settle_one(self) -> None:
        """Has one more candidate settle; `settled_at` has the moment (seconds since 1970) by their count."""
        key = uuid4()
        row = {
            "id": key, "experiment_id": self.key, "number": self.count, "generation": 10_000,
            "kind": "evolved", "label": None, "genome": self._genome, "recipe": self._recipe,
            "digest": f"{self.count:064x}", "status": "scored", "told": self.count, "attempts": 1,
            "worker": "worker", "seconds": {"merge": 0.01, "evaluate": 0.07}, "violation": 0.0,
            "created_at": now(), "settled_at": now(),
        }  # fmt: skip
        values = self.rng.uniform(0.4, 0.8, self.objectives)
        scores = [
            Score(f"task{place}", "acc,none", float(value), 0.06, True, (0.0,))
            for place, value in enumerate(values)
        ]
        with self.database.session() as session:
            session.execute(insert(CandidateRow), [row])
            session.execute(insert(EvaluationRow), evaluation_rows(key, "search", scores))
            Repository(session).add_event(self.key, "candidate.settled", {"number": self.count})
        self.count += 1
        self.settled_at[self.count] = time.time()
