"""Between rows and the values that the search loop speaks in."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from evaluators import Score, Split
from search_spaces import Infeasible, Recipe
from service.experiment.candidate import Candidate, CandidateStatus, Reevaluation, Remembered
from service.experiment.findings import EstimatorFinding
from service.experiment.objectives import ObjectiveFacts, Objectives
from service.search.journal import GenerationSummary
from service.store.models import CandidateRow, EvaluationRow, ExperimentRow, GenerationRow, Json
from service.store.types import now
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Outcome, Scored


def pack(values: Sequence[float]) -> bytes:
    """Returns one blob: little-endian float32, compressed."""
    return zlib.compress(np.asarray(values, dtype="<f4").tobytes(), level=1)


def unpack(blob: bytes) -> tuple[float, ...]:
    """Returns the numbers of a blob that `pack` made."""
    return tuple(np.frombuffer(zlib.decompress(blob), dtype="<f4").tolist())


def pack_indices(indices: Sequence[int]) -> bytes | None:
    """Returns one blob of item numbers: little-endian uint32, compressed; None where there are none."""
    return zlib.compress(np.asarray(indices, dtype="<u4").tobytes(), level=1) if indices else None


def unpack_indices(blob: bytes | None) -> tuple[int, ...]:
    """Returns the item numbers of a blob that `pack_indices` made."""
    return () if blob is None else tuple(np.frombuffer(zlib.decompress(blob), dtype="<u4").tolist())


def recipe_json(recipe: Recipe) -> Json:
    """Returns the recipe's canonical JSON, from which an equal recipe is read again."""
    content: Json = json.loads(recipe.canonical_json())
    return content


def new_row(experiment_id: UUID, candidate: Candidate, model_key: str | None = None) -> dict[str, Any]:
    """Returns the columns of a candidate that was just proposed; an infeasible one ends here."""
    recipe = candidate.recipe
    infeasible = isinstance(recipe, Infeasible)
    moment = now()
    return {
        "id": candidate.id,
        "experiment_id": experiment_id,
        "number": candidate.number,
        "generation": candidate.generation,
        "kind": candidate.kind,
        "label": candidate.label,
        "genome": None if candidate.genome is None else list(candidate.genome),
        "recipe": None if isinstance(recipe, Infeasible) else recipe_json(recipe),
        "digest": None if isinstance(recipe, Infeasible) else recipe.digest,
        "status": CandidateStatus.INFEASIBLE if infeasible else CandidateStatus.PROPOSED,
        "infeasible_reason": recipe.reason if isinstance(recipe, Infeasible) else None,
        "operator": candidate.operator,
        "ancestors": list(candidate.ancestors),
        "asked_after": candidate.asked_after,
        "model_key": model_key,
        "attempts": 0,
        "seconds": {},
        "created_at": moment,
        "settled_at": moment if infeasible else None,
    }


def evaluation_rows(candidate_id: UUID, split: Split, scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Returns the columns of one evaluation per benchmark."""
    return [
        {
            "candidate_id": candidate_id,
            "split": split,
            "benchmark": score.benchmark,
            "position": position,
            "metric": score.metric,
            "value": score.value,
            "stderr": score.stderr,
            "higher_is_better": score.higher_is_better,
            "items": len(score.per_item),
            "per_item": pack(score.per_item),
            "item_set": score.item_set or None,
            "item_indices": pack_indices(score.item_indices),
            "notes": dict(score.notes) or None,
            "margins": pack(score.margins) if score.margins else None,
        }
        for position, score in enumerate(scores)
    ]


def objectives_of(row: ExperimentRow) -> Objectives:
    """Returns an experiment's objectives, as its check found them."""
    return Objectives(tuple(ObjectiveFacts.model_validate(found) for found in row.facts["objectives"]))


def values_on(split: Split, evaluations: Iterable[EvaluationRow]) -> dict[str, float]:
    """Returns the scores on a split, by the objectives' names."""
    return {row.benchmark: row.value for row in evaluations if row.split == split}


def summary_of(row: GenerationRow) -> GenerationSummary:
    """Returns where the search stood after a generation."""
    return GenerationSummary(
        generation=row.generation,
        settled=row.settled,
        best=row.best,
        best_number=row.best_number,
        hypervolume=row.hypervolume,
        front=tuple(row.front),
        estimator=None if row.estimator is None else EstimatorFinding(**row.estimator),
    )


def candidate_of(row: CandidateRow) -> Candidate:
    """Returns the candidate that a row holds."""
    recipe = (
        Infeasible(row.infeasible_reason or "") if row.recipe is None else Recipe.model_validate(row.recipe)
    )
    genome = None if row.genome is None else tuple(row.genome)
    return Candidate(
        row.id,
        row.number,
        row.generation,
        genome,
        recipe,
        row.label,
        operator=row.operator or "",
        ancestors=tuple(row.ancestors or ()),
        asked_after=row.asked_after or 0,
        kind=row.kind,
    )


def outcome_of(row: CandidateRow, split: Split = "search") -> Outcome | None:
    """Returns how a candidate did on a split; None where it was not evaluated there."""
    if row.status is CandidateStatus.FAILED and row.failure is not None:
        return Failed(row.id, row.attempts, Failure.from_json(row.failure), row.worker or "")
    scores = tuple(score_of(evaluation) for evaluation in row.evaluations if evaluation.split == split)
    if not scores:
        return None
    merge, evaluate = row.seconds.get("merge", 0.0), row.seconds.get("evaluate", 0.0)
    pruned = split == "search" and row.status is CandidateStatus.PRUNED
    return Scored(row.id, row.attempts, scores, merge, evaluate, row.worker or "", pruned)


def remembered(row: CandidateRow) -> Remembered:
    """Returns what the search loop must know of a candidate when it starts again."""
    worked = float(row.seconds.get("worked", 0.0))
    again = tuple(
        Reevaluation(generation, answered, spent) for generation, answered, spent in row.again or ()
    )
    return Remembered(candidate_of(row), outcome_of(row), row.told, worked, row.violation or 0.0, again)


def score_of(row: EvaluationRow) -> Score:
    """Returns the score that a row holds."""
    return Score(
        benchmark=row.benchmark,
        metric=row.metric,
        value=row.value,
        stderr=row.stderr,
        higher_is_better=row.higher_is_better,
        per_item=unpack(row.per_item),
        item_indices=unpack_indices(row.item_indices),
        item_set=row.item_set or "",
        notes=tuple(sorted((row.notes or {}).items())),
        margins=() if row.margins is None else unpack(row.margins),
    )
