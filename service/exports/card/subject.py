"""Subject: all that a model card is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces import Parent
from service.reports.views import CandidateDetail, ExperimentDetail, FrontPoint
from workers.compatibility.licences.verdict import LicenceVerdict, ParentTerms


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a model in a repository.

    Attributes:
        version: `major.minor.patch`.
        exported: The day, as YYYY-MM-DD.
        changes: What is different from the version before, in sentences.
    """

    version: str
    exported: str
    experiment: str
    candidate: int
    digest: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another member of a front that is exported with this one: its name, and where it is."""

    number: int
    address: str
    scores: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a card is about.

    Attributes:
        baselines: What the candidate is compared to, with their scores.
        recipe: As mergekit YAML.
        address: What `from_pretrained` is called with: a repository or a folder's name.
        version: Of evomerge.
        copy_of: The parent that the candidate is as it is, None for a merge.
        verified: It is loaded by transformers, and scored again, before it gets its name.
        method: Of the recipe.
        shares: How much of the model comes from each parent, on average over its layers; empty where the
            method has no such number.
        terms: The parents' licences; empty where they were not looked at.
        licence: What these come to together.
        accepted: What is in the way of publishing was accepted by the user.
        item_sets: Fingerprint of the items and of what marks them, by objective.
        picture: The file that shows the front; None without.
        sees: It has a vision tower.
        releases: Of the repository, the newest (this one) first.
        siblings: Other members of the front.
        collection: The address of what holds all of them.
        dtype: Number format that was asked for; None is the parents' own.
    """

    experiment: ExperimentDetail
    candidate: CandidateDetail
    baselines: Sequence[FrontPoint]
    recipe: str
    address: str
    version: str
    copy_of: Parent | None = None
    verified: bool = True
    method: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)
    terms: Sequence[ParentTerms] = ()
    licence: LicenceVerdict | None = None
    accepted: bool = False
    item_sets: Mapping[str, str] = field(default_factory=dict)
    picture: str | None = None
    sees: bool = False
    releases: Sequence[Release] = ()
    siblings: Sequence[Sibling] = ()
    collection: str | None = None
    dtype: str | None = None

    @property
    def won(self) -> bool:
        """Says whether the candidate is the experiment's winner."""
        winner = self.experiment.winner
        return winner is not None and winner.number == self.candidate.number
