"""What people may put into a search's queue: a recipe of their own, or a candidate to be repeated.

A candidate ends once, and its end was told: so one that is repeated becomes another candidate, with the
same recipe, in the place of the next one that the search asks for.
"""

from __future__ import annotations

from search_spaces import Recipe
from service.errors import ConflictError
from service.experiment.candidate import CandidateStatus
from service.experiment.enqueued import EnqueuedBy
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ExperimentStatus
from service.specification.own_recipes import suited_recipe
from service.specification.planning import ExperimentFacts
from service.store.models import CandidateRow, EnqueuedRow, ExperimentRow
from service.store.recipe_queue import count_searched, count_waiting, enqueue
from service.store.repository import Repository

MOST_WAITING = 100
_S = ExperimentStatus
TAKES_RECIPES = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSING, _S.PAUSED})
_ENDED_WITH_SCORES = (CandidateStatus.SCORED, CandidateStatus.PRUNED)


def enqueue_recipe(
    repository: Repository, experiment: ExperimentRow, text: str, label: str | None = None
) -> EnqueuedRow:
    """Has a search try a recipe of a person's own, given as mergekit's YAML.

    Raises:
        ConflictError: The search has no place for it.
        InvalidSpecError: The text describes no model that the experiment's workers can merge.
    """
    _check_room(repository, experiment)
    spec = ExperimentSpec.model_validate({"chat": {"apply": "off"}} | experiment.spec)
    recipe = suited_recipe(text, spec, ExperimentFacts.model_validate(experiment.facts))
    return _put(repository, experiment, recipe, label=label, by=EnqueuedBy.PERSON)


def retry(repository: Repository, experiment: ExperimentRow, candidate: CandidateRow) -> EnqueuedRow:
    """Has a search try the recipe of a candidate again that failed.

    Raises:
        ConflictError: It did not fail, or the search has no place.
    """
    if candidate.status is not CandidateStatus.FAILED:
        remedy = "re-evaluate it instead" if candidate.status in _ENDED_WITH_SCORES else ""
        raise ConflictError(f"candidate {candidate.number} is {candidate.status} and did not fail", remedy)
    return _repeat(repository, experiment, candidate, EnqueuedBy.RETRY)


def reevaluate(repository: Repository, experiment: ExperimentRow, candidate: CandidateRow) -> EnqueuedRow:
    """Has a search ask the recipe of a candidate that has scores every item anew.

    Raises:
        ConflictError: It has no scores, or the search has no place.
    """
    if candidate.status not in _ENDED_WITH_SCORES:
        remedy = "retry it instead" if candidate.status is CandidateStatus.FAILED else "wait for its scores"
        raise ConflictError(f"candidate {candidate.number} is {candidate.status} and has no scores", remedy)
    return _repeat(repository, experiment, candidate, EnqueuedBy.REEVALUATION)


def _repeat(
    repository: Repository, experiment: ExperimentRow, candidate: CandidateRow, by: EnqueuedBy
) -> EnqueuedRow:
    _check_room(repository, experiment)
    label = f"{by} of {candidate.label or candidate.number}"
    recipe = Recipe.model_validate(candidate.recipe)
    return _put(repository, experiment, recipe, label=label, by=by, ancestor=candidate.number)


def _check_room(repository: Repository, experiment: ExperimentRow) -> None:
    """Refuses what would never be tried.

    Raises:
        ConflictError: The search is over, all its candidates are asked for, or too many recipes wait.
    """
    repository.lock(experiment)
    name, extend = experiment.name, f"extend its budget first (`evomerge extend {experiment.name}`)"
    if experiment.status not in TAKES_RECIPES:
        over = experiment.status in (_S.SUCCEEDED, _S.FAILED)
        remedy = extend if over else "clone it, and put the recipe among the baselines"
        raise ConflictError(
            f"experiment {name} is {experiment.status.words} and asks for nothing more", remedy
        )
    waiting = count_waiting(repository.session, experiment.id)
    if waiting >= MOST_WAITING:
        raise ConflictError(f"{waiting} recipes wait in the queue of {name} already", "wait for their turn")
    total = len(experiment.facts["baselines"]) + int(experiment.spec["budget"]["candidates"])
    if count_searched(repository.session, experiment.id) + waiting >= total:
        raise ConflictError(f"all {total} candidates of {name} are asked for, or promised", extend)


def _put(
    repository: Repository,
    experiment: ExperimentRow,
    recipe: Recipe,
    *,
    label: str | None,
    by: EnqueuedBy,
    ancestor: int | None = None,
) -> EnqueuedRow:
    row = enqueue(repository.session, experiment.id, recipe, label=label, by=by, ancestor=ancestor)
    payload = {"id": str(row.id), "label": label, "made_by": by.value, "ancestor": ancestor}
    repository.add_event(experiment.id, "recipe.enqueued", payload)
    return row
