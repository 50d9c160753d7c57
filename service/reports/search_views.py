"""What people see of a search's inside: where candidates come from, and the archive's cells."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from service.experiment.candidate import CandidateStatus
from service.experiment.enqueued import EnqueuedBy
from service.reports.views import Page, ScoreView, View


class EnqueuedView(View):
    """A recipe that a person put into a search's queue.

    Attributes:
        id: Of the candidate that it becomes.
        made_by: `enqueued`, or which repetition it is.
        ancestor: The candidate that it repeats.
        candidate: The number of the candidate that it became; None while it waits.
        recipe: As mergekit YAML.
    """

    id: UUID
    label: str | None
    made_by: EnqueuedBy
    ancestor: int | None
    candidate: int | None
    recipe: str
    created_at: datetime


class QueuePage(Page):
    """What was put into a search's queue, the first first."""

    items: list[EnqueuedView]


class LineageNode(View):
    """A candidate in another one's lineage.

    Attributes:
        operator: What the optimizer made it with; empty for baselines.
        ancestors: Numbers of the candidates it was made of.
        scores: On the search split.
    """

    number: int
    label: str | None
    generation: int
    status: CandidateStatus
    operator: str
    ancestors: list[int]
    scores: list[ScoreView]


class LineageView(View):
    """A candidate and all its ancestors, by number; archives and fronts do not matter.

    Attributes:
        complete: Whether all ancestors are there; very long lineages are cut at their oldest end.
    """

    candidate: int
    complete: bool
    nodes: list[LineageNode]


class GeneView(View):
    """How much a gene matters to an objective (PED-ANOVA, arXiv 2304.10255).

    Attributes:
        share: Of the importances of all genes, which sum to 1.
        chance: The share that it exceeds in one of twenty shuffled rankings.
        direction: The mean place of the best candidates in the gene's range less that of all: -1 to 1.
        is_clear: Chance alone would hardly give so much.
    """

    gene: str
    share: float
    chance: float
    direction: float
    is_clear: bool


class ObjectiveGenes(View):
    """The genes by how much they matter to one objective; none where there are too few candidates."""

    objective: str
    genes: list[GeneView]


class ImportancesView(View):
    """How much each gene matters to each objective, from so many candidates."""

    candidates: int
    objectives: list[ObjectiveGenes]


class MeasureView(View):
    """One axis of the archive."""

    name: str
    kind: str
    low: float
    high: float
    cells: int


class CellView(View):
    """A cell that is filled, and its elite.

    Attributes:
        cell: Its place along each measure, from 0.
        quality: Weighted mean of the elite's objectives on the search split.
    """

    cell: list[int]
    number: int
    label: str | None
    quality: float
    measures: list[float]


class ArchivePoint(View):
    """The archive after so many candidates were taken in."""

    candidates: int
    coverage: float
    qd_score: float


class ArchiveView(View):
    """The best candidate of every cell, of all that keep the constraints.

    Attributes:
        coverage: Share of the cells that are filled.
        qd_score: Sum of the qualities, each counted from the reference: the worst baseline.
        course: How both grew: at most 256 points, evenly spread, and the newest.
    """

    measures: list[MeasureView]
    cells: list[CellView]
    coverage: float
    qd_score: float
    course: list[ArchivePoint] = Field(default_factory=list)
