"""What people see of an experiment: the JSON of the API, and what the dashboard's pages render.

Scores are as lm-eval gives them (0 to 1 for accuracies); times are UTC, durations seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from evaluators import Split
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.experiment.findings import EstimatorFinding, ExaminationFindings
from service.experiment.objectives import ObjectiveFacts
from service.experiment.status import ExperimentStatus
from service.reports.notebook_tables import (
    candidate_html,
    candidates_html,
    experiment_html,
    experiments_html,
    front_html,
)


class View(BaseModel):
    """Something that is shown and never changed."""

    model_config = ConfigDict(frozen=True)


class ScoreView(View):
    """One benchmark's result on one split.

    Attributes:
        items: How many were asked.
        is_part: They were not all: value and error are estimates for all of them.
    """

    benchmark: str
    metric: str
    value: float
    stderr: float
    higher_is_better: bool
    items: int
    is_part: bool = False


class FailureView(View):
    """Why a candidate, an experiment or an export came to nothing, and what to do."""

    code: str
    cause: str
    remedy: str
    excerpt: str = ""


class TimingsView(View):
    """Seconds that a candidate cost, by where they went."""

    ask: float = 0.0
    merge: float = 0.0
    evaluate: float = 0.0
    dispatch: float = 0.0
    store: float = 0.0
    tell: float = 0.0


class CandidateView(View):
    """One row of the candidate table.

    Attributes:
        label: A baseline's name; None for candidates that the optimizer proposed.
        scores: By split; `search` is what the optimizer was told.
        on_front: Not dominated by any other candidate on the search split.
        operator, ancestors: What the optimizer made it with, and of which candidates.
        measures: One per measure of the experiment; None where it has none.
        violation: By how much it breaks the constraints; 0 keeps them all.
        again: In which later generations it answered further items.
    """

    number: int
    generation: int
    kind: CandidateKind = CandidateKind.EVOLVED
    label: str | None
    status: CandidateStatus
    digest: str | None
    scores: dict[Split, list[ScoreView]]
    on_front: bool
    infeasible_reason: str | None = None
    failure: FailureView | None = None
    timings: TimingsView
    attempts: int
    worker: str | None
    operator: str = ""
    ancestors: list[int] = []
    measures: list[float] | None = None
    violation: float = 0.0
    again: list[int] = []
    created_at: datetime
    settled_at: datetime | None


class CandidateDetail(CandidateView):
    """A candidate with its recipe (mergekit YAML), genome and the gene's names."""

    recipe: str | None
    genome: dict[str, float | int | str] | None

    def _repr_html_(self) -> str:
        return candidate_html(self)


class ExaminationProgress(View):
    """How far an examination is, in models asked one split.

    Attributes:
        total: How many there will be at most: it shrinks where models are asked no further.
        items, total_items: The same in items.
        seconds: What it took so far, over all resumes.
        eta_seconds: Time left at most, at the rate so far; None while unknown.
    """

    done: int
    total: int
    items: int
    total_items: int
    seconds: float
    eta_seconds: float | None

    @property
    def words(self) -> str:
        """Says it in a line."""
        said = f"examining: {self.done} of {self.total} model-splits"
        if self.eta_seconds is None:
            return said
        left = f"{self.eta_seconds / 60:.0f} min" if self.eta_seconds >= 90 else f"{self.eta_seconds:.0f} s"
        return f"{said}, about {left} left"


class ProgressView(View):
    """How far an experiment is.

    Attributes:
        total: Baselines and budget together.
        rate: Candidates settled per second, over the last minute of work.
        eta_seconds: Time left at this rate; None while unknown.
        eta_range: Between which the end of the search lies four times in five; None while unknown.
        best: Highest weighted mean of the objectives on the search split, and whose it is.
        best_baseline: The same among the baselines.
            hypervolume: Of the front, measured from `reference`, after the generations told so far: at most
            256 of them, evenly spread, and the newest; in lists of experiments the newest alone.
            estimator: How well values from a part of the items predicted further answers; None where every
            candidate is asked all items.
        examination: How far the examination is; None unless it is under way.
    """

    counts: dict[CandidateStatus, int]
    settled: int
    total: int
    rate: float | None
    eta_seconds: float | None
    eta_range: tuple[float, float] | None = None
    best: float | None
    best_number: int | None
    best_baseline: float | None
    generation: int
    hypervolume: list[HypervolumePoint]
    reference: list[float] | None
    estimator: EstimatorFinding | None = None
    examination: ExaminationProgress | None = None


class HypervolumePoint(View):
    """The front's hypervolume and the best weighted mean after a generation."""

    generation: int
    candidates: int
    hypervolume: float
    best: float | None


class WinnerView(View):
    """The candidate that the selection split picked, and what the test split says of it.

    Attributes:
        optimism: Search score minus test score, per objective.
        examination: All that was found out; None for experiments of earlier versions.
        test_opened_at: When the sealed test split was read, which happens once.
        unbeaten: What must be said where the winner is no merge that the search found: `no merge beat
            parent left`.
    """

    number: int
    kind: CandidateKind = CandidateKind.EVOLVED
    label: str | None
    optimism: dict[str, float]
    examination: ExaminationFindings | None = None
    test_opened_at: datetime | None = None
    unbeaten: str | None = None


class ExperimentView(View):
    """An experiment as lists show it.

    Attributes:
        controller: Host and process id of the controller that runs it; None while none does.
        changes: What each parent changed of the base, in words; [] where it is not known.
        idle_genes: Genes that do nothing because a parent equals the base where they act; not searched.
        known: How many scored models of which earlier experiments it started from.
        workers: How many it had a few seconds ago; None while no controller runs it, or it has just begun.
        priority: Its share of the workers beside others'.
        deleted_at: Since when it waits to be removed; None for those that are not deleted.
    """

    id: UUID
    name: str
    status: ExperimentStatus
    reason: str | None
    algorithm: str
    algorithm_reason: str = ""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: ProgressView
    objectives: list[ObjectiveFacts]
    parents: list[str]
    base: str | None
    winner: WinnerView | None
    failure: FailureView | None
    may: list[Literal["pause", "resume", "stop", "extend", "cancel", "export"]]
    notes: str = ""
    changes: list[str] = []
    idle_genes: list[str] = []
    known: dict[str, int] = {}
    tags: list[str] = []
    starred: bool = False
    controller: str | None = None
    workers: int | None = None
    priority: float = 1.0
    deleted_at: datetime | None = None

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end, or until now; None before it started."""
        if self.started_at is None:
            return None
        return ((self.ended_at or datetime.now(UTC)) - self.started_at).total_seconds()

    def _repr_html_(self) -> str:
        return experiment_html(self)


class ExperimentDetail(ExperimentView):
    """An experiment with the spec as it was submitted, defaults filled in."""

    spec: dict[str, Any]


class FrontPoint(View):
    """One candidate on a front, with its scores on all splits that were evaluated.

    Attributes:
        words: Its recipe in a few words; empty for those that are dominated, but the winner.
    """

    number: int
    kind: CandidateKind = CandidateKind.EVOLVED
    label: str | None
    words: str = ""
    scores: dict[Split, list[ScoreView]]


class FrontView(View):
    """The front on one split, with the baselines to compare it to.

    Attributes:
        front: The non-dominated candidates; in pictures the best of them where there are many.
        front_total: How many there are.
        hypervolume: None in pictures.
        dominated: Candidates off the front, the newest of them where there are many, and the winner.
        dominated_total: How many there are.
    """

    split: Split
    objectives: list[ObjectiveFacts]
    front: list[FrontPoint]
    front_total: int
    baselines: list[FrontPoint]
    dominated: list[FrontPoint]
    dominated_total: int
    reference: list[float] | None
    hypervolume: float | None
    winner: int | None

    def _repr_html_(self) -> str:
        return front_html(self)


class EventView(View):
    """Something that happened; ids grow over the whole server."""

    id: int
    experiment: UUID | None
    kind: str
    payload: dict[str, Any]
    created_at: datetime


ExportStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


class ExportView(View):
    """A checkpoint being written, or written.

    Attributes:
        notes: What must be said of it: in what a parent is not as its files say, what a push changed.
        verified: What loading it in a fresh process showed; None until it is written, and without that.
    """

    id: UUID
    experiment: UUID
    candidate: int
    status: ExportStatus
    target: str
    folder: str | None
    url: str | None
    bytes: int | None
    digest: str | None
    failure: FailureView | None
    created_at: datetime
    ended_at: datetime | None
    notes: list[str] = []
    verified: str | None = None


class ExportPreview(View):
    """What an export would write and change; nothing was written.

    Attributes:
        files: Bytes by name; null where they are known only afterwards.
        bytes: Of all files whose size is known.
        card: The text of README.md.
        licence: What the parents' licences come to together; None where they were not looked at.
        licence_findings: What stands in the way of publishing.
        change: What would become of the target, in a sentence.
        refusals: Why the export would be refused as things stand.
    """

    candidate: int
    target: str
    files: dict[str, int | None]
    bytes: int
    card: str
    licence: str | None
    licence_findings: list[str]
    change: str
    refusals: list[str]
    notes: list[str]


class MistakeView(View):
    """One thing that is wrong with a spec."""

    pointer: str
    code: str
    detail: str
    hint: str


class CostView(View):
    """What an experiment asks at most, in items: counts of one item asked of one model.

    Attributes:
        search: Of baselines and budget, where every candidate is asked all items.
        examination: Of the finalists, within its budget.
    """

    search: int
    examination: int

    @property
    def words(self) -> str:
        """Says it in a line."""
        share = self.examination / max(self.search + self.examination, 1)
        return (
            f"asks at most: {self.search:,} items in the search, {self.examination:,} in the examination "
            f"({share:.0%} of all)"
        )


class ValidationView(View):
    """What a check of a spec found: all mistakes at once, or what the experiment would be.

    Attributes:
        genes: Those that are searched.
        changes, idle_genes, known: As in `ExperimentView`.
        baselines: Labels of generation 0.
        warnings: What is allowed but seldom wise.
        cost: What it asks at most.
    """

    valid: bool
    mistakes: list[MistakeView]
    warnings: list[str]
    spec: dict[str, Any] | None
    genes: list[str]
    baselines: list[str]
    objectives: list[ObjectiveFacts]
    parameters: int | None
    algorithm: str | None = None
    algorithm_reason: str | None = None
    parent_bytes: int | None
    cost: CostView | None = None
    changes: list[str] = []
    idle_genes: list[str] = []
    known: dict[str, int] = {}


class Page(View):
    """Some of a longer list; `next_page_token` is None at its end."""

    next_page_token: str | None


class ExperimentPage(Page):
    """Experiments, newest first."""

    items: list[ExperimentView]

    def _repr_html_(self) -> str:
        return experiments_html(self)


class CandidatePage(Page):
    """Candidates by number."""

    items: list[CandidateView]

    def _repr_html_(self) -> str:
        return candidates_html(self)


class EventPage(Page):
    """Events, oldest first; the token is None when there is nothing newer yet."""

    items: list[EventView]


class ExportPage(Page):
    """Exports, newest first."""

    items: list[ExportView]


ProgressView.model_rebuild()
