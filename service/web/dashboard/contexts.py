"""Contexts: what each page shows, chosen from views.  Templates read nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from evaluators import SPLITS, Split
from service.experiment.findings import ComparisonFinding, ExaminationFindings
from service.reports.inside.coefficient_maps import CoefficientMap
from service.reports.partial_evaluation import asked_of_all, asked_of_one
from service.reports.views import (
    CandidateDetail,
    CandidateView,
    ExperimentView,
    ScoreView,
)
from service.store.failure_groups import FailureGroup
from service.web.dashboard.choices import GROUPS, OPTIONAL, PAGE_ROWS, ListChoice, ReaderChoice
from service.web.dashboard.formats import is_share
from service.web.dashboard.frame import ExperimentPage
from service.web.dashboard.pictures.lineage import LineagePicture
from service.web.dashboard.pictures.plane import score_of
from service.web.dashboard.pictures.sparkline import sparkline
from service.web.dashboard.pictures.stacking import StackingPicture
from service.web.dashboard.verdict import Verdict, VerdictRow, best_parent


@dataclass(frozen=True, slots=True)
class ListContext:
    """The page of all experiments.

    Attributes:
        older: Where the list goes on; None at its end.
        tags: All that are in use.
    """

    experiments: Sequence[ExperimentView]
    older: str | None
    choice: ListChoice
    tags: Sequence[str]
    groups: Collection[str] = tuple(GROUPS)
    twin: str = "/api/v1/experiments"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentContext(ExperimentPage):
    """The first page of one experiment.

    Attributes:
        baselines: What generation 0 scored.
        best_held_out: The weighted test score of the candidate with the best search score; None while
            the test split is sealed.
    """

    choice: ReaderChoice
    baselines: Sequence[CandidateView]
    verdict: Verdict | None
    best_held_out: float | None = None

    @property
    def asked(self) -> str:
        """What generations are asked, where that is not everything; else empty."""
        return "; ".join(asked_of_all(self.experiment))

    @property
    def best_parent(self) -> VerdictRow | None:
        """The best parent, with its scores on the search split."""
        return best_parent(self.baselines, self.experiment.objectives, "search", self.examination)

    @property
    def splits_with_scores(self) -> tuple[Split, ...]:
        """The splits that have something to show: baselines are evaluated wherever anything is."""
        found = {split for baseline in self.baselines for split, scores in baseline.scores.items() if scores}
        return tuple(split for split in SPLITS if split in found or split == self.choice.split)

    @property
    def hypervolume(self) -> float | None:
        """After the newest generation."""
        points = self.experiment.progress.hypervolume
        return points[-1].hypervolume if points else None

    @property
    def unchanged(self) -> int:
        """How many candidates were told since the front last grew."""
        points = self.experiment.progress.hypervolume
        if not points:
            return 0
        last = points[-1].hypervolume
        since = next(point for point in points if point.hypervolume >= last)
        return points[-1].candidates - since.candidates

    @property
    def courses(self) -> dict[str, str]:
        """The courses of hypervolume and best mean, as lines for tiles."""
        points = self.experiment.progress.hypervolume
        return {
            "hypervolume": sparkline([point.hypervolume for point in points]),
            "best": sparkline([point.best for point in points]),
        }

    @property
    def examination(self) -> ExaminationFindings | None:
        """What was found out about the winner."""
        winner = self.experiment.winner
        return winner.examination if winner else None

    @property
    def main_comparisons(self) -> list[ComparisonFinding]:
        """Of the winner with what it was made from, and with the plain average."""
        found = self.examination.comparisons if self.examination else ()
        return [one for one in found if one.role in ("parent", "average")]

    @property
    def other_comparisons(self) -> list[ComparisonFinding]:
        """Of the winner with all other models."""
        found = self.examination.comparisons if self.examination else ()
        return [one for one in found if one.role not in ("parent", "average")]

    @property
    def has_generations(self) -> bool:
        """Whether any objective's answers are generated, so that they can be cut off."""
        found = self.examination.objectives if self.examination else ()
        return any(one.test and (one.test.truncated or one.test.unextracted) for one in found)

    def is_share(self, objective: str | None) -> bool:
        """Whether people read an objective's scores in percent; of no objective: whether all of them."""
        if objective is None:
            return self.share
        return any(is_share(one.metric) for one in self.experiment.objectives if one.name == objective)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatesContext(ExperimentPage):
    """The table of candidates.

    Attributes:
        candidates: Rows of the table's page.
        total: How many rows all its pages have.
        failures: What failed alike, where the table shows failed candidates.
        splits_with_scores: Those that the table can show.
        basket: Numbers of the candidates that are chosen.
        operators: How candidates were made, for the reader to choose from.
        optional: Columns that may be left out or added.
    """

    choice: ReaderChoice
    candidates: Sequence[CandidateView]
    total: int
    failures: Sequence[FailureGroup] = ()
    splits_with_scores: tuple[Split, ...] = ()
    basket: Sequence[int] = ()
    operators: Sequence[str] = ()
    optional: Mapping[str, str] = field(default_factory=lambda: OPTIONAL)

    @property
    def first_row(self) -> int:
        """The place of the page's first row among all, from 1."""
        return (self.choice.page - 1) * PAGE_ROWS + 1

    @property
    def last_page(self) -> int:
        """The number of the last page."""
        return max(-(-self.total // PAGE_ROWS), 1)

    def score(self, candidate: CandidateView, objective: str) -> ScoreView | None:
        """Returns the score that the table shows."""
        return score_of(candidate, objective, self.choice.split)


@dataclass(frozen=True, slots=True)
class CandidateContext:
    """The page of one candidate."""

    experiment: ExperimentView
    candidate: CandidateDetail
    maps: Sequence[CoefficientMap] = ()
    constants: str = ""
    stacking: StackingPicture | None = None
    lineage: LineagePicture | None = None

    @property
    def twin(self) -> str:
        """Where the API tells the same."""
        return f"/api/v1/experiments/{self.experiment.id}/candidates/{self.candidate.number}"

    @property
    def asked(self) -> list[str]:
        """Which part of the items it answered, and when again; empty where it answered all at once."""
        return list(asked_of_one(self.candidate, self.experiment.objectives))

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits on which the candidate was evaluated."""
        return tuple(split for split in SPLITS if self.candidate.scores.get(split))

    def score(self, objective: str, split: Split) -> ScoreView | None:
        """Returns one score."""
        return score_of(self.candidate, objective, split)


@dataclass(frozen=True, slots=True)
class MissingContext:
    """The page that says that there is nothing here."""

    detail: str
    twin: str = "/api/v1/experiments"
