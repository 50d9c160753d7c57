"""What was found out about an objective, and whether it can be searched on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaluators import BenchmarkFacts
from search_spaces import Parent
from service.errors import Mistake
from service.experiment.objectives import ObjectiveFacts
from service.experiment.spec import Objective

FEWEST_SEARCH_ITEMS = 50  # fewer need a word: their scores are mostly luck


def objective_facts(
    objective: Objective, entry: BenchmarkFacts, templates: Sequence[Parent]
) -> ObjectiveFacts:
    """Returns what is stored of an objective.

    Args:
        objective: As the user wrote it.
        entry: What a worker found.
        templates: The parents whose chat templates the search chooses from.
    """
    return ObjectiveFacts(
        name=objective.label,
        task=objective.task or objective.kind,
        metric=entry.metrics[0],
        higher_is_better=entry.higher_is_better,
        weight=objective.weight,
        items=entry.items,
        overlap=entry.overlap,
        warnings=entry.warnings,
        prompts=dict(entry.prompts),
        templates=tuple(map(str, templates)),
    )


def too_few(entry: BenchmarkFacts, objective: Objective, pointer: str) -> Iterator[Mistake]:
    """Yields a mistake where the search would see few items, and the spec does not allow that."""
    items = entry.items["search"]
    if objective.kind in ("depth", "parameters"):  # one number that is no sample of anything
        return
    if items < FEWEST_SEARCH_ITEMS and not objective.allow_few_items:
        error = 0.5 / items**0.5
        yield Mistake(
            pointer,
            "too_few_items",
            f"{entry.name} would be searched on {items} items, where 0.5 correct is known to ±{error:.2f}",
            f"give the search {FEWEST_SEARCH_ITEMS} items or more, or set allow_few_items: true",
        )
