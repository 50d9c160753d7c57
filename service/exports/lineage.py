"""Lineage: the versions of a model in a repository, from what it holds and what is exported now.  Pure.

The first model is 1.0.0.  Another recipe of the same parents is the next minor version, other parents are
the next major one, and the same recipe again keeps its version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from search_spaces import Recipe
from search_spaces.errors import SpaceError
from search_spaces.recipes.renamed_parents import shown
from service.exports.card.subject import Release
from workers.protocol.publications import Publication

FIRST = "1.0.0"
_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)", re.ASCII)
_UNKNOWN_DAY = "earlier"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a repository held before.

    Attributes:
        recipe: With local parents by the last part of their folders; None where it cannot be read.
        scores: Of the newest model, by split, as its evomerge.json has them.
        experiment, candidate, digest: The newest model's experiment by its id, its number there and the
            digest of its recipe there, where they are known.
    """

    releases: tuple[Release, ...] = ()
    recipe: Recipe | None = None
    scores: Mapping[str, Any] | None = None
    experiment: str | None = None
    candidate: int | None = None
    digest: str | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, publication: Publication) -> Earlier:
        """Reads what a repository says of itself; what is malformed counts as not said."""
        known = publication.scores or {}
        experiment = known.get("experiment")
        named = experiment if isinstance(experiment, dict) else {}
        candidate, scores = known.get("candidate"), known.get("scores")
        return cls(
            releases=_releases(known),
            recipe=_recipe(publication.recipe),
            scores=scores if isinstance(scores, dict) else None,
            experiment=named.get("id") if isinstance(named.get("id"), str) else None,
            candidate=candidate if isinstance(candidate, int) else None,
            digest=known.get("recipe_digest") if isinstance(known.get("recipe_digest"), str) else None,
            tags=publication.tags,
        )

    def holds(self, recipe: Recipe) -> bool:
        """Says whether the newest model was made by this very recipe."""
        return self.recipe is not None and self.recipe.digest == shown(recipe, named=True).digest

    def next_version(self, recipe: Recipe) -> str:
        """Returns the version that a recipe's model gets; above all versions and tags that there are."""
        if self.releases and self.holds(recipe):
            return self.releases[0].version
        taken = [number for text in self.tags if (number := _number(text)) is not None]
        taken += [number for each in self.releases if (number := _number(f"v{each.version}")) is not None]
        if not taken:
            return FIRST
        major, minor, _ = max(taken)
        if self.recipe is not None and parents_of(self.recipe) == parents_of(shown(recipe, named=True)):
            return f"{major}.{minor + 1}.0"
        return f"{major + 1}.0.0"

    def with_release(self, release: Release) -> tuple[Release, ...]:
        """Returns all releases, the newest first; the same version again stays as it was."""
        if self.releases and self.releases[0].version == release.version:
            return self.releases
        return (release, *self.releases)


def parents_of(recipe: Recipe) -> frozenset[str]:
    """Returns what a recipe's parents and base are called."""
    return frozenset(str(parent) for parent in recipe.all_parents)


def as_json(releases: Sequence[Release]) -> list[dict[str, Any]]:
    """Returns releases as evomerge.json keeps them."""
    return [asdict(release) | {"changes": list(release.changes)} for release in releases]


def _number(tag: str) -> tuple[int, int, int] | None:
    match = _TAG.fullmatch(tag)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def _recipe(content: Mapping[str, Any] | None) -> Recipe | None:
    try:
        return None if content is None else Recipe.model_validate(content)
    except (ValidationError, SpaceError):
        return None


def _releases(known: Mapping[str, Any]) -> tuple[Release, ...]:
    """Returns the releases that an evomerge.json names; of one without them, the model itself."""
    listed = known.get("releases")
    if isinstance(listed, list):
        found = [_release(each) for each in listed if isinstance(each, dict)]
        return tuple(each for each in found if each is not None)
    experiment = known.get("experiment")
    name = experiment.get("name") if isinstance(experiment, dict) else None
    told = {"version": FIRST, "exported": _UNKNOWN_DAY, "experiment": name}
    only = _release(told | {"candidate": known.get("candidate"), "digest": known.get("recipe_digest")})
    return () if only is None else (only,)


def _release(told: Mapping[str, Any]) -> Release | None:
    changes = told.get("changes", [])
    texts = [told.get(name) for name in ("version", "exported", "experiment", "digest")]
    number = told.get("candidate")
    if not all(isinstance(text, str) for text in texts) or not isinstance(number, int):
        return None
    version, exported, experiment, digest = (str(text) for text in texts)
    if _number(f"v{version}") is None:
        return None
    kept = tuple(str(each) for each in changes) if isinstance(changes, list) else ()
    return Release(version, exported, experiment, number, digest, kept)
