"""The line of usual recipes: the same weight for all parents everywhere, at the scale of the best merge.

A search often finds that weights beyond the usual ones are better, and that is a finding; but it is one
number's, not the search's.  So the best merge is compared with usual recipes of its own scale, which are
added when the search ends and scored like every candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import uuid4

from search_spaces import ParentPool, Recipe
from search_spaces.genome import Genome, Variable
from service.examination.finalists import mean_of
from service.experiment.candidate import Candidate, CandidateKind, Remembered
from service.experiment.spec import ExperimentSpec
from service.specification.baselines import UsualBaselines, dtype_of
from service.store.journal import DatabaseJournal
from workers.protocol.messages import Scored

MOST = 4  # evaluations that it takes
NEAR = 0.05  # of a weight: what is as near as this to one on the line needs none of its own


def propose_scaled(
    journal: DatabaseJournal, spec: ExperimentSpec, pool: ParentPool, variables: Sequence[Variable]
) -> None:
    """Adds usual recipes at the scale of the best merge, where no candidate is one already.

    Nothing is added without a base, where the usual recipes were not wanted, or in spaces without weights.
    """
    if not spec.baselines.standard_recipes or not spec.examination.scale or pool.base is None:
        return
    remembered = journal.recall()
    best = _best_found(remembered, spec.weights)
    weights = [] if best is None else _weights(best, variables)
    if not weights:
        return
    known = [found for r in remembered if (found := line_weight(r.candidate.recipe)) is not None]
    usual = UsualBaselines(pool, dtype=dtype_of(spec), seed=spec.space.seed)
    last, told = remembered[-1].candidate, sum(each.told is not None for each in remembered)
    added = [
        Candidate(
            uuid4(),
            last.number + place,
            last.generation + 1,
            None,
            usual.task_arithmetic(weight),
            f"task arithmetic λ={weight:g}",
            asked_after=told,
            kind=CandidateKind.SCALED,
        )
        for place, weight in enumerate(_to_try(weights, known), start=1)
    ]
    if added:
        journal.proposed(added)
        journal.commit()


def line_weight(recipe: object) -> float | None:
    """Returns the one weight that a task arithmetic recipe gives all parents; None for any other recipe."""
    if not isinstance(recipe, Recipe) or recipe.method != "task_arithmetic" or len(recipe.slices) != 1:
        return None
    found = set()
    for source in recipe.slices[0].sources:
        settings = source.parameters.get("weight", ())
        if set(source.parameters) != {"weight"} or len(settings) != 1 or settings[0].filter is not None:
            return None
        found.add(settings[0].value)
    value = found.pop() if len(found) == 1 else None
    return value if isinstance(value, float) else None


def _to_try(weights: Sequence[float], known: Sequence[float]) -> list[float]:
    """Returns the merge's mean weight, and weights between the largest on the line and its largest."""
    mean, largest = sum(weights) / len(weights), max(weights)
    end = max(known, default=0.0)
    steps = [end + (largest - end) * share for share in (1 / 3, 2 / 3, 1.0)] if largest > end else []
    chosen: list[float] = []
    for weight in (mean, *steps):
        rounded = float(f"{weight:.2g}") if weight < 1 else round(weight, 2)
        if rounded > 0 and all(abs(rounded - other) > NEAR for other in (*known, *chosen)):
            chosen.append(rounded)
    return chosen[:MOST]


def _best_found(remembered: Sequence[Remembered], weights: Sequence[float]) -> Genome | None:
    """Returns the genome of the best merge that the search found."""
    found = [
        r
        for r in remembered
        if r.candidate.kind in (CandidateKind.EVOLVED, CandidateKind.KNOWN)
        and isinstance(r.outcome, Scored)
        and not r.outcome.pruned
        and not r.violation
    ]
    best = max(found, key=lambda r: (mean_of(r.outcome, weights), -r.candidate.number), default=None)
    return None if best is None else best.candidate.genome


def _weights(genome: Genome, variables: Sequence[Variable]) -> list[float]:
    return list(_genes_of_weights(genome, variables))


def _genes_of_weights(genome: Genome, variables: Sequence[Variable]) -> Iterator[float]:
    for variable, gene in zip(variables, genome, strict=True):
        if variable.axis is not None and variable.axis.parameter == "weight":
            yield float(gene)
