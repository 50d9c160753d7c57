"""What all pages of one experiment share: the experiment, the rail, and the place in the stream of events."""

from __future__ import annotations

from dataclasses import dataclass

from service.reports import experiments as reports
from service.reports.views import ExperimentDetail
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.formats import all_shares

PAGES = {
    "": "Overview",
    "front": "Front",
    "candidates": "Candidates",
    "inside": "Inside a merge",
    "complementarity": "Complementarity",
    "samples": "Sample answers",
    "lineage": "Lineage",
    "archive": "Archive",
    "runs": "Runs",
    "analysis": "Analysis",
    "compare": "Compare",
    "try": "Try it",
    "export": "Export",
}
"""Slug -> title, in the rail's order; the archive only where there is one."""


@dataclass(frozen=True, slots=True)
class RailEntry:
    """A page of the experiment in its rail."""

    slug: str
    title: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentPage:
    """A page of one experiment.

    Attributes:
        newest_event: The page shows what was so after this event.
        current: Its slug.
    """

    experiment: ExperimentDetail
    newest_event: int
    current: str = ""

    @property
    def twin(self) -> str:
        """Where the API tells the same."""
        return f"/api/v1/experiments/{self.experiment.id}"

    @property
    def home(self) -> str:
        """The address below which the experiment's pages are."""
        return f"/e/{self.experiment.id}"

    @property
    def rail(self) -> list[RailEntry]:
        """The pages that this experiment has."""
        shown = [slug for slug in PAGES if slug != "archive" or self.experiment.spec["measures"]]
        return [RailEntry(slug, PAGES[slug], slug == self.current) for slug in shown]

    @property
    def title(self) -> str:
        """What this page is called."""
        return PAGES[self.current]

    @property
    def share(self) -> bool:
        """Whether the weighted mean can be read in percent."""
        return all_shares(self.experiment.objectives)

    @property
    def chosen(self) -> int | None:
        """The candidate that pages show at first: the winner, or the best so far."""
        winner = self.experiment.winner
        return winner.number if winner else self.experiment.progress.best_number

    @property
    def limits(self) -> list[tuple[str, str]]:
        """The limits beside the number of candidates, which an extension may lift; each in words."""
        budget = self.experiment.spec["budget"]
        texts = {
            "seconds": "the limit of {} seconds",
            "gpu_hours": "the limit of {} GPU hours",
            "target": "the target of {}",
            "stagnation": "the limit of {} candidates without progress",
            "least_gain": "the least expected gain of {}",
        }
        return [
            (limit, text.format(f"{budget[limit]:,.10g}"))
            for limit, text in texts.items()
            if budget.get(limit) is not None
        ]


def detail_and_event(repository: Repository, row: ExperimentRow) -> tuple[ExperimentDetail, int]:
    """Returns the two things that every page of an experiment is made with."""
    return reports.experiment_detail(repository, row), repository.last_event()
