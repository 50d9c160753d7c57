"""An experiment for chaos, and all of it that must not depend on what was killed when."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from benchmarks.breaking.workforces import OBJECTIVES
from benchmarks.storing.instant_workforce import ITEMS
from service.experiment.objectives import ObjectiveFacts
from service.experiment.spec import ExperimentSpec
from service.specification.baselines import PlannedBaseline, baselines_for
from service.specification.planning import ExperimentFacts, build_pool
from service.store.database import Database
from service.store.models import EventRow
from service.store.repository import Repository

CANDIDATES = 36
EVALUATION_SECONDS = 5.0  # that a candidate may take
_SHAPE: dict[str, Any] = {"layers": 4, "layer_prefix": "model.layers."}


def add_experiment(database: Database, name: str, *, folder: Path | None = None) -> UUID:
    """Puts the experiment into the queue under a name; all are equal but for that.

    Workers that look at its parents find them in `folder`, which is part of the recipes.
    """
    place = folder or Path("/models")
    spec = ExperimentSpec.model_validate(
        {
            "name": name,
            "parents": [str(place / "left"), str(place / "right")],
            "base": str(place / "base"),
            "objectives": [{"task": task} for task in OBJECTIVES],
            "space": {"layer_groups": 2},
            "optimizer": {"algorithm": "cma_es", "population": 6},
            "budget": {"candidates": CANDIDATES, "failures": CANDIDATES},
            "evaluation_timeout": EVALUATION_SECONDS,
            "baselines": {"standard_recipes": False},
            "examination": {"finalists": 2, "mean": False},
        }
    )
    planned = [
        PlannedBaseline(label=found.label, recipe=found.recipe, kind=found.kind)
        for found in baselines_for(spec, build_pool(spec, _SHAPE))
    ]
    items = {"search": ITEMS, "selection": ITEMS, "test": ITEMS}
    objectives = tuple(
        ObjectiveFacts.model_validate(
            {"name": task, "task": task, "metric": "acc,none", "higher_is_better": True, "weight": 1.0,
             "items": items}
        )
        for task in OBJECTIVES
    )  # fmt: skip
    facts = ExperimentFacts(
        objectives=objectives, parameters=1000, parent_bytes=12_000, baselines=tuple(planned), **_SHAPE
    )
    dumped = spec.model_dump(mode="json"), facts.model_dump(mode="json")
    with database.session() as session:
        return Repository(session).create_experiment(name, dumped[0], facts=dumped[1]).id


def candidates_of(database: Database, key: UUID) -> dict[int, Any]:
    """Returns each candidate as it must be, by number."""
    with database.reading() as session:
        return {
            c.number: (
                c.generation, c.label, c.genome, c.digest, c.status, c.told,
                sorted((e.split, e.benchmark, e.value, e.stderr) for e in c.evaluations),
            )
            for c in Repository(session).candidates(key)
        }  # fmt: skip


def outcome_of(database: Database, key: UUID) -> tuple[Any, ...]:
    """Returns how the experiment ended, its winner and its course."""
    with database.reading() as session:
        repository = Repository(session)
        row = repository.experiment(key)
        return row.status, row.failure, row.winner, row.reference, repository.generations(key)


def settled_twice(database: Database, key: UUID) -> int:
    """Returns how many candidates ended more than once, to go by the events."""
    number = EventRow.payload["number"].as_integer()
    query = select(number).where(EventRow.experiment_id == key, EventRow.kind == "candidate.settled")
    with database.reading() as session:
        return len(session.execute(query.group_by(number).having(func.count() > 1)).all())
