"""Releases: which version an export to the Hub becomes, and what it changes against the one before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from evaluators import Split
from search_spaces import Recipe
from search_spaces.recipes.renamed_parents import shown
from service.errors import NotFoundError
from service.exports.card.subject import Release
from service.exports.changes import paired_changes, recipe_changes, told_changes
from service.exports.lineage import Earlier
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from workers.protocol.publications import Publication

_SPLITS: tuple[Split, ...] = ("test", "search")  # the first that both have scores on is told


def releases_for(
    repository: Repository,
    publication: Publication,
    of: tuple[ExperimentRow, CandidateRow, Recipe],
    day: date,
) -> tuple[Release, ...]:
    """Returns a repository's releases with this export among them, the newest first.

    Args:
        repository: Of the transaction.
        publication: What the Hub's repository holds.
        of: What is exported.
        day: Of the export.
    """
    experiment, candidate, recipe = of
    earlier = Earlier.of(publication)
    changes = () if earlier.holds(recipe) else tuple(_changes(repository, earlier, of))
    release = Release(
        version=earlier.next_version(recipe),
        exported=day.isoformat(),
        experiment=experiment.name,
        candidate=candidate.number,
        digest=recipe.digest,
        changes=changes,
    )
    return earlier.with_release(release)


def _changes(
    repository: Repository, earlier: Earlier, of: tuple[ExperimentRow, CandidateRow, Recipe]
) -> Iterator[str]:
    experiment, candidate, recipe = of
    if earlier.recipe is not None:
        facts = experiment.facts
        named = shown(recipe, named=True)
        yield from recipe_changes(earlier.recipe, named, facts["layers"], facts["layer_prefix"])
    before = _stored(repository, earlier)
    for split in _SPLITS:
        answers = repository.answers(candidate, split)
        told = () if before is None else paired_changes(repository.answers(before, split), answers, split)
        found = list(told) or list(told_changes(earlier.scores or {}, answers, split))
        if found:
            yield from found
            return


def _stored(repository: Repository, earlier: Earlier) -> CandidateRow | None:
    """Returns the candidate that was published before; None where this installation does not have it."""
    if earlier.experiment is None or earlier.candidate is None:
        return None
    try:
        experiment = repository.experiment(earlier.experiment)
        candidate = repository.candidate(experiment.id, earlier.candidate)
    except NotFoundError:
        return None
    return candidate if candidate.digest == earlier.digest else None
