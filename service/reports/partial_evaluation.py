"""Sentences on experiments whose candidates answer a part of the items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.experiment.findings import EstimatorFinding
from service.experiment.objectives import ObjectiveFacts
from service.reports.views import CandidateView, ExperimentDetail


def asked_of_all(experiment: ExperimentDetail) -> Iterator[str]:
    """Yields what an experiment's generations are asked, and how far such answers were to be trusted."""
    rotation, halving = (experiment.spec.get(key) for key in ("rotation", "halving"))
    if rotation:
        yield f"each generation answers {_parts(experiment.objectives, rotation['items'])}" + (
            f", and so do the best {rotation['elites']} so far" if rotation["elites"] else ""
        )
    if halving:
        first, eta = halving["first"], halving["eta"]
        yield f"of a generation all answer {first} items, and one in {eta:g} goes on to {eta:g} times as many"
    if rotation and experiment.progress.estimator is not None:
        yield _foretold(experiment.progress.estimator)


def asked_of_one(candidate: CandidateView, objectives: Sequence[ObjectiveFacts]) -> Iterator[str]:
    """Yields which part of the search items a candidate answered, and when it was re-evaluated."""
    sizes = {objective.name: objective.items.get("search", 0) for objective in objectives}
    scores = [score for score in candidate.scores.get("search", ()) if score.is_part]
    parts = [
        f"{score.items} of {sizes[score.benchmark]} items"
        + (f" of {score.benchmark}" if len(objectives) > 1 else "")
        for score in scores
        if score.items < sizes.get(score.benchmark, 0)
    ]
    if parts:
        values = "values are estimates" if len(parts) > 1 else "value is an estimate"
        yield f"answered {_joined(parts)}: the search {values} for all of them"
    if candidate.again:
        which = "generations" if len(candidate.again) > 1 else "generation"
        yield f"answered again in {which} {_joined([str(generation) for generation in candidate.again])}"


def _parts(objectives: Sequence[ObjectiveFacts], items: int) -> str:
    sizes = {objective.name: objective.items.get("search", items) for objective in objectives}
    parts = [
        (f"about {items} of {size} items" if items < size else f"all {size} items")
        + (f" of {name}" if len(sizes) > 1 else "")
        for name, size in sizes.items()
    ]
    return _joined(parts)


def _foretold(found: EstimatorFinding) -> str:
    if not found.checks or found.error is None or found.plain_error is None:
        return "how well estimates predict the next answers was not checked yet"
    ranks = "" if found.rank_correlation is None else f", rank correlation {found.rank_correlation:.2f}"
    checks = f"{found.checks} checks" if found.checks > 1 else "1 check"
    text = f"estimates missed by {found.error:.3f} (plain means {found.plain_error:.3f}) in {checks}{ranks}"
    return text if found.used else f"{text}; plain means are used, as they predict better"


def _joined(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
