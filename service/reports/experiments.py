"""Builds what people see of an experiment from the rows that hold it.

The front, the hypervolume and the progress are questions put to the rows, never stored truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from time import time
from typing import Literal, cast
from uuid import UUID

from evaluators import SPLITS, Split
from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from service.errors import InvalidSpecError
from service.experiment.bare_parent import unbeaten
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.experiment.objectives import Objectives
from service.experiment.spec import ExperimentSpec
from service.experiment.status import Action, ExperimentStatus, actions_of
from service.reports.analysis.time_left import time_left
from service.reports.examination_progress import cost_view, examination_progress
from service.reports.views import (
    CandidateDetail,
    CandidateView,
    EventView,
    ExperimentDetail,
    ExperimentView,
    ExportStatus,
    ExportView,
    FailureView,
    HypervolumePoint,
    MistakeView,
    ProgressView,
    ScoreView,
    TimingsView,
    ValidationView,
    WinnerView,
)
from service.specification.baselines import baseline_count
from service.specification.idle_genes import changes_in
from service.specification.planning import ExperimentFacts, build_space_for
from service.specification.spec_check import Checked
from service.store.columns import score_cells
from service.store.models import CandidateRow, EvaluationRow, EventRow, ExperimentRow, ExportRow, Json
from service.store.repository import Repository
from service.store.rows import objectives_of

MOST_POINTS = 256  # of the hypervolume's course: a screen shows no more
RATE_SECONDS = 60.0  # the stretch of work that the rate is taken over
RATE_CANDIDATES = 256  # and the most candidates that are looked at for it

_S = ExperimentStatus
Verb = Action | Literal["export"]


def verbs_of(status: ExperimentStatus, *, scored: bool) -> list[Verb]:
    """Returns what may be asked of an experiment now."""
    found: list[Verb] = [*actions_of(status)]
    return [*found, "export"] if scored else found


def experiment_view(repository: Repository, row: ExperimentRow) -> ExperimentView:
    """Returns an experiment as lists show it: of its course the newest point alone."""
    return ExperimentView.model_validate(_experiment(repository, row, most_points=1))


def experiment_detail(repository: Repository, row: ExperimentRow) -> ExperimentDetail:
    """Returns an experiment with its spec."""
    return ExperimentDetail.model_validate(
        _experiment(repository, row, most_points=MOST_POINTS) | {"spec": row.spec}
    )


def _experiment(repository: Repository, row: ExperimentRow, *, most_points: int) -> dict[str, object]:
    progress = progress_view(repository, row, most_points=most_points)
    base = row.spec.get("base")
    return {
        "id": row.id,
        "name": row.spec["name"] if row.deleted_at is not None else row.name,
        "deleted_at": row.deleted_at,
        "status": row.status,
        "reason": row.reason,
        "algorithm": row.facts.get("algorithm") or row.spec["optimizer"]["algorithm"],
        "algorithm_reason": row.facts.get("algorithm_reason", ""),
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "progress": progress,
        "objectives": objectives_of(row).each,
        "parents": row.spec["parents"],
        "base": base,
        "winner": _winner(repository, row),
        "failure": failure_view(row.failure),
        "may": verbs_of(row.status, scored=progress.counts.get(CandidateStatus.SCORED, 0) > 0),
        "notes": row.spec.get("notes", ""),
        "changes": [each.words for each in changes_in(row.facts)],
        "idle_genes": row.facts.get("pinned") or [],
        "known": row.facts.get("transferred") or {},
        "tags": row.tags or [],
        "starred": row.starred,
        "controller": _controller(row),
        "workers": row.workers if _controller(row) is not None else None,
        "priority": row.spec.get("priority", 1.0),
    }


def _controller(row: ExperimentRow) -> str | None:
    """Returns the host and process id of the controller that runs an experiment, if one does."""
    if row.lease_owner is None or (row.lease_until or 0.0) < time():
        return None
    return row.lease_owner.rpartition(":")[0]


def _winner(repository: Repository, row: ExperimentRow) -> WinnerView | None:
    if row.winner is None:
        return None
    number = row.winner["number"]
    candidate = repository.candidate(row.id, number)
    return WinnerView(
        number=number,
        kind=candidate.kind,
        label=candidate.label,
        optimism=row.winner["optimism"],
        examination=row.winner.get("examination") or None,
        test_opened_at=row.test_opened_at,
        unbeaten=unbeaten(candidate.kind, candidate.label),
    )


def progress_view(
    repository: Repository, row: ExperimentRow, *, most_points: int = MOST_POINTS
) -> ProgressView:
    """Returns how far an experiment is; of a longer course so many points, evenly chosen."""
    objectives = objectives_of(row)
    counts = repository.counts(row.id)
    baselines = len(row.facts["baselines"])
    total = baselines + row.spec["budget"]["candidates"]
    proposed = sum(counts.values())
    settled = proposed - counts.get(CandidateStatus.PROPOSED, 0)
    last = repository.last_generation(row.id)
    recent = repository.recently_settled(row.id, after=max(proposed - RATE_CANDIDATES, 0) - 1)
    rate = rate_of(recent, row.status)
    examination = examination_progress(repository, row)
    return ProgressView(
        counts=counts,
        settled=settled,
        total=max(total, settled),  # the mean of the distribution comes on top
        rate=rate,
        eta_seconds=examination.eta_seconds
        if examination
        else (total - settled) / rate
        if rate and row.status is _S.RUNNING
        else None,
        eta_range=time_left([*recent, datetime.now(UTC)], total - settled)
        if row.status is _S.RUNNING
        else None,
        examination=examination,
        best=last.best if last else None,
        best_number=last.best_number if last else None,
        best_baseline=_best_baseline(repository, row, objectives, baseline_count(row.facts)),
        generation=last.generation if last else 0,
        hypervolume=[_hypervolume_point(*point) for point in repository.course(row.id, most=most_points)],
        reference=objectives.in_own_units(row.reference),
        estimator=last.estimator if last else None,
    )


def _best_baseline(
    repository: Repository, row: ExperimentRow, objectives: Objectives, count: int
) -> float | None:
    scores: dict[int, dict[str, float]] = {}
    for cell in score_cells(repository.session, row.id, "search", range(count)):
        scores.setdefault(cell.number, {})[cell.benchmark] = cell.value
    found = map(objectives.fitness, scores.values())
    return max((objectives.scalar(fitness) for fitness in found if fitness is not None), default=None)


def _hypervolume_point(
    generation: int, settled: int, hypervolume: float, best: float | None
) -> HypervolumePoint:
    return HypervolumePoint(generation=generation, candidates=settled, hypervolume=hypervolume, best=best)


def rate_of(times: Sequence[datetime], status: ExperimentStatus) -> float | None:
    """Returns candidates per second over the last minute; a run that stands still slows down."""
    if not times:
        return None
    last = datetime.now(UTC) if status is _S.RUNNING else max(times)
    within = [time for time in times if (last - time).total_seconds() <= RATE_SECONDS]
    span = (last - min(within)).total_seconds() if within else 0.0
    return (len(within) - 1) / span if span > 0 and len(within) > 1 else None


def score_views(evaluations: Iterable[EvaluationRow]) -> dict[Split, list[ScoreView]]:
    """Returns scores by split, in the objectives' order."""
    found: dict[Split, list[ScoreView]] = {}
    for row in sorted(evaluations, key=lambda row: (SPLITS.index(cast("Split", row.split)), row.position)):
        found.setdefault(cast("Split", row.split), []).append(
            ScoreView(
                benchmark=row.benchmark,
                metric=row.metric,
                value=row.value,
                stderr=row.stderr,
                higher_is_better=row.higher_is_better,
                items=row.items,
                is_part=row.item_indices is not None,
            )
        )
    return found


def front_numbers(repository: Repository, experiment_id: UUID) -> frozenset[int]:
    """Returns which candidates are on the front of the search split since the last generation was told."""
    last = repository.last_generation(experiment_id)
    return frozenset(last.front) if last else frozenset()


def candidate_view(row: CandidateRow, *, front: frozenset[int]) -> CandidateView:
    """Returns a candidate as tables show it; `front` holds the numbers of those on the front."""
    return CandidateView.model_validate(_candidate(row, front))


def candidate_detail(repository: Repository, experiment: ExperimentRow, row: CandidateRow) -> CandidateDetail:
    """Returns a candidate with its recipe and genome."""
    front = front_numbers(repository, experiment.id)
    recipe = recipe_text(row)
    return CandidateDetail.model_validate(
        _candidate(row, front) | {"recipe": recipe, "genome": named_genome(experiment, row)}
    )


def recipe_text(row: CandidateRow) -> str | None:
    """Returns a candidate's recipe as mergekit YAML; None where it has none."""
    return None if row.recipe is None else write_recipe(Recipe.model_validate(row.recipe))


def gene_names(experiment: ExperimentRow) -> list[str]:
    """Returns what each gene of an experiment's genomes is called."""
    space = build_space_for(ExperimentSpec.model_validate(experiment.spec), experiment.facts)
    return [variable.name for variable in space.variables]


def named_genome(experiment: ExperimentRow, row: CandidateRow) -> dict[str, float | int | str] | None:
    """Returns a candidate's genes by name; None for a baseline that the space cannot express."""
    if row.genome is None:
        return None
    return dict(zip(gene_names(experiment), row.genome, strict=True))


def _candidate(row: CandidateRow, front: frozenset[int]) -> dict[str, object]:
    return {
        "number": row.number,
        "generation": row.generation,
        "kind": row.kind,
        "label": row.label,
        "status": row.status,
        "digest": row.digest,
        "scores": score_views(row.evaluations),
        "on_front": row.number in front,
        "infeasible_reason": row.infeasible_reason,
        "failure": failure_view(row.failure),
        "timings": TimingsView.model_validate(row.seconds or {}),
        "attempts": row.attempts,
        "worker": row.worker,
        "operator": row.operator or "",
        "ancestors": row.ancestors or [],
        "measures": row.measures,
        "violation": row.violation or 0.0,
        "again": [generation for generation, answered, _ in row.again or () if answered],
        "created_at": row.created_at,
        "settled_at": row.settled_at,
    }


def validation_view(found: Checked | InvalidSpecError) -> ValidationView:
    """Returns what a check of a spec found."""
    if isinstance(found, InvalidSpecError):
        return ValidationView(
            valid=False,
            mistakes=[
                MistakeView(pointer=m.pointer, code=m.code, detail=m.detail, hint=m.remedy)
                for m in found.mistakes
            ],
            warnings=[],
            spec=None,
            genes=[],
            baselines=[],
            objectives=[],
            parameters=None,
            parent_bytes=None,
        )
    facts = ExperimentFacts.model_validate(found.facts)
    return ValidationView(
        valid=True,
        mistakes=[],
        warnings=list(found.warnings),
        spec=found.spec.model_dump(mode="json"),
        genes=list(found.genes),
        baselines=[each.label for each in facts.baselines if each.kind is not CandidateKind.KNOWN],
        known=facts.transferred,
        objectives=list(facts.objectives),
        algorithm=facts.algorithm,
        algorithm_reason=facts.algorithm_reason,
        parameters=facts.parameters,
        parent_bytes=facts.parent_bytes,
        cost=cost_view(found.spec, facts),
        changes=[each.words for each in facts.changes],
        idle_genes=list(facts.pinned),
    )


def failure_view(failure: Json | None) -> FailureView | None:
    """Returns why something came to nothing, if it did."""
    return None if failure is None else FailureView.model_validate(failure)


def event_view(row: EventRow) -> EventView:
    """Returns an event."""
    return EventView(
        id=row.id,
        experiment=row.experiment_id,
        kind=row.kind,
        payload=row.payload,
        created_at=row.created_at,
    )


def export_view(row: ExportRow) -> ExportView:
    """Returns an export."""
    return ExportView(
        id=row.id,
        experiment=row.experiment_id,
        candidate=row.candidate_number,
        status=cast("ExportStatus", row.status),
        target=row.target,
        folder=row.folder,
        url=row.url,
        bytes=row.bytes,
        digest=row.digest,
        failure=failure_view(row.failure),
        created_at=row.created_at,
        ended_at=row.ended_at,
        notes=row.options.get("notes", []),
        verified=row.options.get("verified") or None,
    )
