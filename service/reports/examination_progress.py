"""What an examination costs, and how far it is: stored steps against those that were foreseen."""

from __future__ import annotations

from evaluators.conditions import CONDITIONS
from service.experiment.candidate import CandidateKind
from service.experiment.examination_budget import ExaminationBudget
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ExperimentStatus
from service.reports.views import CostView, ExaminationProgress
from service.specification.planning import ExperimentFacts
from service.store.models import ExperimentRow
from service.store.repository import Repository


def examination_progress(repository: Repository, row: ExperimentRow) -> ExaminationProgress | None:
    """Returns how far an experiment's examination is; None unless it is under way."""
    foreseen = row.facts.get("examination")
    if row.status is not ExperimentStatus.EXAMINING or foreseen is None:
        return None
    done, items, seconds = repository.examination_cost(row.id)
    total_items = max(foreseen["items"], items)
    eta = seconds / items * (total_items - items) if items else None
    minutes = row.spec["examination"].get("max_minutes")
    if eta is not None and minutes is not None:
        eta = min(eta, max(60.0 * minutes - seconds, 0.0))
    return ExaminationProgress(
        done=done,
        total=max(foreseen["steps"], done),
        items=items,
        total_items=total_items,
        seconds=seconds,
        eta_seconds=eta,
    )


def cost_view(spec: ExperimentSpec, facts: ExperimentFacts) -> CostView:
    """Returns how many items an experiment asks at most, in the search and in the examination.

    The front brings as many finalists again as there are best candidates, where several objectives make
    one.
    """
    items = {
        split: sum(objective.items.get(split, 0) for objective in facts.objectives)
        for split in ("search", "selection", "test")
    }
    baselines = sum(each.kind is not CandidateKind.KNOWN for each in facts.baselines)
    best = spec.examination.finalists
    others = min(best * (2 if len(facts.objectives) > 1 else 1), spec.budget.candidates)
    finalists = baselines + others + spec.examination.mean
    groups = ((finalists, "selection"), (finalists, "test"), (len(CONDITIONS), "selection"))
    budget = ExaminationBudget.of(spec.examination)
    _, examined = budget.planned((), [(count, items[split]) for count, split in groups])
    return CostView(search=(baselines + spec.budget.candidates) * items["search"], examination=examined)
