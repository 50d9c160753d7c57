"""What a later experiment takes over from an earlier one: its best recipes, or its winner."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces import Recipe
from service.errors import ConflictError, NotFoundError
from service.experiment.candidate import CandidateStatus
from service.specification.baselines import PlannedBaseline
from service.store.models import ExperimentRow
from service.store.repository import Repository

MOST_RECIPES = 16  # of one experiment: generation 0 is scored whole


def best_recipes(repository: Repository, name: str) -> Sequence[PlannedBaseline] | None:
    """Returns the winner and the front of an experiment, the best first; None where there is no such one.

    Baselines may be among them: those that the later experiment has itself are not scored twice there.
    """
    try:
        experiment = repository.experiment(name)
    except NotFoundError:
        return None
    found = []
    for number in _numbers(repository, experiment)[:MOST_RECIPES]:
        row = repository.candidate(experiment.id, number)
        if row.status is CandidateStatus.SCORED and row.recipe is not None:
            is_winner = experiment.winner is not None and experiment.winner["number"] == number
            name_there = row.label or f"candidate {number}"
            label = f"{experiment.name}: {'winner' if is_winner else name_there}"
            found.append(PlannedBaseline(label=label, recipe=Recipe.model_validate(row.recipe)))
    return found


def winner_of(repository: Repository, name: str) -> Recipe:
    """Returns the recipe of an experiment's winner.

    Raises:
        NotFoundError: There is no such experiment.
        ConflictError: It has no winner yet.
    """
    experiment = repository.experiment(name)
    if experiment.winner is None:
        raise ConflictError(f"{name} is {experiment.status.words} and has no winner", "wait for its end")
    row = repository.candidate(experiment.id, int(experiment.winner["number"]))
    return Recipe.model_validate(row.recipe)


def _numbers(repository: Repository, experiment: ExperimentRow) -> list[int]:
    last = repository.last_generation(experiment.id)
    first = [] if experiment.winner is None else [int(experiment.winner["number"])]
    if last:
        first += [] if last.best_number is None else [last.best_number]
        first += last.front
    return list(dict.fromkeys(first))
