"""Contexts: what each page shows, chosen from views.  Templates read nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, cast, get_args
from urllib.parse import urlencode

from evaluators import SPLITS, Split
from service.experiment.findings import ComparisonFinding, ExaminationFindings
from service.experiment.status import UNDER_WAY, ExperimentStatus
from service.reports.inside.coefficient_maps import CoefficientMap
from service.reports.partial_evaluation import asked_of_all, asked_of_one
from service.reports.views import (
    CandidateDetail,
    CandidateView,
    ExperimentView,
    ScoreView,
)
from service.store.candidate_order import COLUMNS, Order
from service.store.experiment_filter import ExperimentFilter
from service.store.failure_groups import FailureGroup
from service.web.dashboard.formats import is_share
from service.web.dashboard.frame import ExperimentPage
from service.web.dashboard.pictures.lineage import LineagePicture
from service.web.dashboard.pictures.plane import score_of
from service.web.dashboard.pictures.sparkline import sparkline
from service.web.dashboard.pictures.stacking import StackingPicture
from service.web.dashboard.verdict import Verdict, VerdictRow, best_parent

Show = Literal["all", "front", "baselines", "failed"]
PAGE_ROWS = 30
OPTIONAL = {
    "front": "Front",
    "label": "Label",
    "status": "Status",
    "generation": "Gen.",
    "seconds": "Time",
    "operator": "Made by",
    "digest": "Recipe",
    "worker": "Worker",
}
"""Columns of the table that the reader may leave out or add: key -> title."""
USUAL = ("front", "label", "status", "generation", "seconds")
LAST_PAGE = 10**6


@dataclass(frozen=True, slots=True)
class ReaderChoice:
    """What the reader chose to see; it lives in the query string, so that links keep it.

    Attributes:
        names: Of the objectives.
        x, y: Objectives on the axes of the front.
        sort: The column that the table is sorted by: `score0` for the first objective's scores, or one of
            `service.store.candidate_order.COLUMNS`.
        down: Whether the largest come first.
        page: Which part of the table, from 1.
        columns: Which of `OPTIONAL` it has.
    """

    split: Split
    names: tuple[str, ...]
    x: str
    y: str
    show: Show
    sort: str
    down: bool
    page: int
    columns: tuple[str, ...] = USUAL

    @classmethod
    def read(cls, wanted: dict[str, str], names: Sequence[str]) -> Self:
        """Takes what makes sense of a query string, and the defaults for the rest."""
        split, show = wanted.get("split", ""), wanted.get("show", "")
        x = wanted["x"] if wanted.get("x") in names else names[0]
        y = wanted["y"] if wanted.get("y") in names else names[min(1, len(names) - 1)]
        sorts = (*COLUMNS, *(f"score{place}" for place in range(len(names))))
        sort, page = wanted.get("sort", ""), wanted.get("page", "")
        shown = set(wanted["cols"].split(",")) if "cols" in wanted else set(USUAL)
        return cls(
            split=split if split in SPLITS else "search",
            names=tuple(names),
            x=x,
            y=y,
            show=cast("Show", show) if show in get_args(Show) else "all",
            sort=sort if sort in sorts else "number",
            down=wanted.get("down", "1") != "0",
            page=min(max(int(page), 1), LAST_PAGE) if page.isdecimal() and len(page) < 8 else 1,
            columns=tuple(column for column in OPTIONAL if column in shown),
        )

    def query(self, **changes: str | int) -> str:
        """Returns the query string of this choice with some changes."""
        plain: dict[str, str | int] = {"split": self.split, "x": self.x, "y": self.y, "show": self.show}
        plain |= {"sort": self.sort, "down": int(self.down), "page": self.page}
        if self.columns != USUAL:
            plain["cols"] = ",".join(self.columns)
        return urlencode(plain | changes)

    def sorted_by(self, column: str) -> str:
        """Returns the query string that sorts by a column, or turns its order round."""
        first = column not in ("label", "status")  # scores and numbers: the largest; words: the first
        down = not self.down if column == self.sort else first
        return self.query(sort=column, down=int(down), page=1)

    @property
    def order(self) -> Order:
        """How the table is sorted."""
        if self.sort.startswith("score"):
            return Order(None, self.names[int(self.sort.removeprefix("score"))], self.down)
        return Order(self.sort, None, self.down)


GROUPS: Mapping[str, Collection[ExperimentStatus]] = {
    "under way": UNDER_WAY,
    "paused": (ExperimentStatus.PAUSED,),
    "finished": (ExperimentStatus.SUCCEEDED,),
    "failed": (ExperimentStatus.FAILED,),
    "cancelled": (ExperimentStatus.CANCELLED,),
}
"""Of experiments by their status, as the list offers them."""


@dataclass(frozen=True, slots=True)
class ListChoice:
    """Which experiments the reader wants to see; it lives in the query string."""

    text: str
    group: str
    tag: str
    starred: bool

    @classmethod
    def read(cls, wanted: Mapping[str, str]) -> Self:
        """Takes what makes sense of a query string."""
        group = wanted.get("status", "")
        return cls(
            text=wanted.get("q", "").strip()[:200],
            group=group if group in GROUPS else "",
            tag=wanted.get("tag", "")[:50],
            starred=wanted.get("starred") == "1",
        )

    @property
    def filter(self) -> ExperimentFilter:
        """The same as the store asks it."""
        return ExperimentFilter(self.text, GROUPS.get(self.group, ()), self.tag, self.starred)

    def query(self, **changes: str) -> str:
        """Returns the query string of this choice with some changes."""
        plain = {
            "q": self.text,
            "status": self.group,
            "tag": self.tag,
            "starred": "1" if self.starred else "",
        }
        return urlencode({name: value for name, value in (plain | changes).items() if value})


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
        optional: Columns that may be left out or added.
    """

    choice: ReaderChoice
    candidates: Sequence[CandidateView]
    total: int
    failures: Sequence[FailureGroup] = ()
    splits_with_scores: tuple[Split, ...] = ()
    basket: Sequence[int] = ()
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
