"""A finished search of any length, written into a database without being run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from evaluators import Score
from search_spaces import Infeasible, Recipe
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.experiment.objectives import ObjectiveFacts
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ExperimentStatus
from service.search.journal import GenerationSummary
from service.specification.baselines import PlannedBaseline, baselines_for
from service.specification.planning import ExperimentFacts, build_pool, build_space_for
from service.store.database import Database
from service.store.leases import acquire_lease
from service.store.models import CandidateRow, EvaluationRow
from service.store.repository import Repository
from service.store.rows import evaluation_rows, recipe_json
from service.store.types import now

ITEMS = 50
GENERATION = 8
CHUNK = 5_000
FAR = 1e6  # seconds for which no controller takes a running one away
SHAPE = {"layers": 4, "layer_prefix": "model.layers."}


def write_history(
    database: Database,
    name: str,
    *,
    candidates: int,
    objectives: int,
    seed: int = 0,
    running: bool = False,
) -> UUID:
    """Writes an experiment with so many scored candidates, baselines included; returns its id.

    Scores grow slowly towards a limit, with noise, so that fronts have the sizes of real ones.  A running
    one has not ended, and no controller.
    """
    names = [f"task{n}" for n in range(objectives)]
    spec = _spec(name, names, candidates)
    planned = [
        PlannedBaseline(label=found.label, recipe=found.recipe, kind=found.kind)
        for found in baselines_for(spec, build_pool(spec, SHAPE))
    ]
    facts = facts_of(names, planned)
    with database.session() as session:
        repository = Repository(session)
        key = repository.create_experiment(name, spec.model_dump(mode="json"), facts=facts).id
        if running and acquire_lease(session, key, "a history", seconds=FAR) is None:
            raise RuntimeError(f"experiment {name} was taken before it was written")
    scores = _scores(candidates, objectives, seed)
    space = build_space_for(spec, facts)
    genome = tuple(variable.from_unit(0.5) for variable in space.variables)
    recipe = space.decode(genome)
    if isinstance(recipe, Infeasible):
        raise ValueError(f"the middle of the space is infeasible: {recipe.reason}")
    rows = [_row(key, number, planned, recipe, genome) for number in range(candidates)]
    for first in range(0, candidates, CHUNK):
        with database.session() as session:
            chosen = rows[first : first + CHUNK]
            session.execute(insert(CandidateRow), chosen)
            found = zip(chosen, scores[first : first + CHUNK], strict=True)
            session.execute(
                insert(EvaluationRow),
                [cell for row, values in found for cell in _cells(row["id"], names, values)],
            )
    _end(database, key, scores, len(planned), running=running)
    return key


def _spec(name: str, names: Sequence[str], candidates: int) -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {
            "name": name,
            "parents": ["/models/left", "/models/right"],
            "base": "/models/base",
            "objectives": [{"task": task} for task in names],
            "optimizer": {"algorithm": "nsga2", "population": GENERATION},
            "budget": {"candidates": candidates},
            "baselines": {"standard_recipes": False},
        }
    )


def facts_of(names: Sequence[str], planned: Sequence[PlannedBaseline]) -> dict[str, Any]:
    """Returns what a check would have found out."""
    objectives = tuple(
        ObjectiveFacts(
            name=name, task=name, metric="acc,none", higher_is_better=True, weight=1.0,
            items={"search": ITEMS, "selection": ITEMS, "test": ITEMS},
        )
        for name in names
    )  # fmt: skip
    facts = ExperimentFacts(
        objectives=objectives, parameters=1000, parent_bytes=12_000, baselines=tuple(planned), **SHAPE
    )
    return facts.model_dump(mode="json")


def _scores(candidates: int, objectives: int, seed: int) -> NDArray[np.float64]:
    """Returns (candidates, objectives) shares of right answers."""
    rng = np.random.default_rng(seed)
    skill = 0.75 - 0.35 * np.exp(-np.arange(candidates) / (candidates / 4))
    tilt = rng.normal(0.0, 0.08, (candidates, objectives))
    tilt -= tilt.mean(axis=1, keepdims=True)  # what one objective gains the others lose
    return np.clip(skill[:, None] + tilt + rng.normal(0.0, 0.02, (candidates, objectives)), 0.0, 1.0)


def _row(
    key: UUID, number: int, planned: Sequence[PlannedBaseline], recipe: Recipe, genome: tuple[Any, ...]
) -> dict[str, Any]:
    moment, baseline = now(), planned[number] if number < len(planned) else None
    return {
        "id": uuid4(),
        "experiment_id": key,
        "number": number,
        "generation": 0 if baseline else 1 + (number - len(planned)) // GENERATION,
        "kind": baseline.kind if baseline else CandidateKind.EVOLVED,
        "label": baseline.label if baseline else None,
        "genome": list(genome),
        "recipe": recipe_json(baseline.recipe if baseline else recipe),
        "digest": f"{number:064x}",
        "status": CandidateStatus.SCORED,
        "told": number,
        "attempts": 1,
        "worker": "worker",
        "seconds": {"merge": 0.01, "evaluate": 0.07, "ask": 0.001, "tell": 0.001},
        "violation": 0.0,
        "created_at": moment,
        "settled_at": moment,
    }


def _cells(key: UUID, names: Sequence[str], values: NDArray[np.float64]) -> list[dict[str, Any]]:
    scores = [
        Score(
            benchmark=name, metric="acc,none", value=float(value),
            stderr=float(np.sqrt(value * (1 - value) / ITEMS)), higher_is_better=True, per_item=(0.0,),
        )
        for name, value in zip(names, values, strict=True)
    ]  # fmt: skip
    return evaluation_rows(key, "search", scores)


def _end(
    database: Database, key: UUID, scores: NDArray[np.float64], baselines: int, *, running: bool
) -> None:
    """Notes the course of the search, in at most 2,000 generations, and its end."""
    means = scores.mean(axis=1)
    told = np.unique(np.linspace(baselines, len(scores), min(len(scores) // GENERATION, 2_000), dtype=int))
    with database.session() as session:
        repository = Repository(session)
        for generation, count in enumerate(told.tolist()):
            number = int(means[:count].argmax())
            best = float(means[number])
            progress = GenerationSummary(
                generation=generation, settled=count, best=best, best_number=number,
                hypervolume=best, front=(number,), estimator=None,
            )  # fmt: skip
            repository.add_generation(key, progress, float(generation))
        row = repository.experiment(key)
        row.reference = scores[:baselines].min(axis=0).tolist()
        repository.move(row, ExperimentStatus.RUNNING)
        for status in () if running else (ExperimentStatus.EXAMINING, ExperimentStatus.SUCCEEDED):
            repository.move(row, status)
