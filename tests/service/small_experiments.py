"""Experiments that are over in a moment: two parents, a base, few candidates, no files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.experiment.objectives import ObjectiveFacts
from service.experiment.spec import ExperimentSpec
from service.optimizers import NEED_KINSHIP, OPTIMIZERS
from service.specification.baselines import PlannedBaseline, baselines_for
from service.specification.planning import ExperimentFacts, build_pool
from service.store.database import Database
from service.store.models import ExperimentRow
from service.store.repository import Repository
from tests.service.scripted_workforce import ITEMS

OFTEN_USED = ("cma_es", "item_surrogate", "map_elites", "nsga2")
EVERY_OPTIMIZER = [
    name if name in OFTEN_USED else pytest.param(name, marks=pytest.mark.slow) for name in sorted(OPTIMIZERS)
]
"""Values of a parameter: where each takes seconds, optimizers that are used less often have slow tests."""
SHAPE = {"layers": 4, "layer_prefix": "model.layers."}


def small_spec(**changes: Any) -> ExperimentSpec:
    """Returns a spec with two objectives, and with `changes` on top."""
    parents = {name: Path("/models") / name for name in ("left", "right", "base")}
    return ExperimentSpec.model_validate(small_content(parents) | changes)


def small_content(parents: dict[str, Path]) -> dict[str, Any]:
    """Returns the content of a spec with two objectives over these parents; it is over in a moment."""
    return {
        "name": "small",
        "parents": [str(parents["left"]), str(parents["right"])],
        "base": str(parents["base"]),
        "objectives": [{"task": "words"}, {"task": "sums", "weight": 2.0}],
        "space": {"layer_groups": 2},
        "optimizer": {"algorithm": "cma_es", "population": 4},
        "budget": {"candidates": 8, "failures": 3},
        "baselines": {"standard_recipes": False},
        "examination": {"finalists": 2, "mean": False},
        "seed": 7,
    }


def with_optimizer(algorithm: str, **options: Any) -> dict[str, Any]:
    """Returns what a spec must say for an algorithm: its name, and measures where it lays out an archive."""
    changes: dict[str, Any] = {"optimizer": {"algorithm": algorithm, "population": 4} | options}
    if OPTIMIZERS[algorithm].needs_measures:
        changes["measures"] = [
            {"kind": "share", "parent": "/models/left", "low": 0.0, "high": 1.0, "cells": 5},
            {"kind": "score", "objective": "sums", "low": 0.0, "high": 1.0, "cells": 4},
        ]
    return changes


def facts_for(spec: ExperimentSpec) -> dict[str, Any]:
    """Returns the facts that a check would have found."""
    planned = baselines_for(spec, build_pool(spec, SHAPE))
    objectives = [
        ObjectiveFacts(
            name=objective.label,
            task=objective.task,
            metric="acc,none",
            higher_is_better=True,
            weight=objective.weight,
            items={"search": ITEMS, "selection": ITEMS, "test": ITEMS},
        )
        for objective in spec.objectives
    ]
    facts = ExperimentFacts(
        objectives=tuple(objectives),
        parameters=1000,
        parent_bytes=12_000,
        baselines=tuple(PlannedBaseline(label=b.label, recipe=b.recipe, kind=b.kind) for b in planned),
        kinship=((1.0, 0.2), (0.2, 1.0)) if spec.optimizer.algorithm in NEED_KINSHIP else None,
        **SHAPE,
    )
    return facts.model_dump(mode="json")


def add_experiment(database: Database, spec: ExperimentSpec | None = None, **changes: Any) -> ExperimentRow:
    """Puts an experiment into the queue."""
    spec = spec or small_spec(**changes)
    with database.session() as session:
        return Repository(session).create_experiment(
            spec.name, spec.model_dump(mode="json"), facts=facts_for(spec)
        )


def reload(database: Database, row: ExperimentRow) -> ExperimentRow:
    """Returns the experiment as it is now."""
    with database.reading() as session:
        return Repository(session).experiment(row.id)


def final_state(database: Database, row: ExperimentRow) -> dict[str, Any]:
    """Returns all that must not depend on crashes, resumes, workers or the clock."""
    with database.reading() as session:
        repository = Repository(session)
        again = repository.experiment(row.id)
        candidates = [
            {
                "number": c.number,
                "generation": c.generation,
                "label": c.label,
                "genome": c.genome,
                "digest": c.digest,
                "status": c.status.value,
                "told": c.told,
                "scores": {(e.split, e.benchmark): (e.value, e.stderr) for e in c.evaluations},
            }
            for c in repository.candidates(row.id)
        ]
        return {
            "status": again.status.value,
            "failure": again.failure,
            "winner": again.winner,
            "reference": again.reference,
            "candidates": candidates,
            "generations": repository.generations(row.id),
        }
