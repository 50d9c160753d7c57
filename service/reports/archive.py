"""The archive of a quality-diversity search, as a question put to the rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from numpy import linspace

from service.archives.grid import GridArchive, MeasureAxis
from service.errors import ConflictError
from service.experiment.spec import ExperimentSpec
from service.reports.score_columns import ScoreColumns, read_columns
from service.reports.search_views import ArchivePoint, ArchiveView, CellView, MeasureView
from service.store.columns import measures_of
from service.store.models import ExperimentRow
from service.store.repository import Repository

MOST_POINTS = 256  # of the course: a screen shows no more


def archive_view(repository: Repository, experiment: ExperimentRow) -> ArchiveView:
    """Returns the best candidate of every cell over the experiment's measures.

    Raises:
        ConflictError: The experiment has no measures.
    """
    measures = ExperimentSpec.model_validate(experiment.spec).measures
    if not measures:
        raise ConflictError(
            f"experiment {experiment.name} has no measures, so it has no archive",
            "give the next one `measures`, or ask for its front",
        )
    columns = read_columns(repository.session, experiment, "search")
    archive = GridArchive([MeasureAxis(m.label, m.low, m.high, m.cells) for m in measures])
    reference = experiment.reference
    worst = columns.objectives.scalar(reference) if reference else 0.0
    course = _filled(archive, columns, measures_of(repository.session, experiment.id), worst)
    labels = dict(zip(columns.numbers.tolist(), columns.labels.tolist(), strict=True))
    return ArchiveView(
        measures=[
            MeasureView(name=m.label, kind=m.kind, low=m.low, high=m.high, cells=m.cells) for m in measures
        ],
        cells=[
            CellView(
                cell=list(cell),
                number=elite.number,
                label=labels[elite.number],
                quality=elite.quality,
                measures=list(elite.measures),
            )
            for cell, elite in sorted(archive.elites.items())
        ],
        coverage=archive.coverage,
        qd_score=archive.qd_score(worst),
        course=course,
    )


def _filled(
    archive: GridArchive,
    columns: ScoreColumns,
    measured: Sequence[tuple[int, list[float]]],
    worst: float,
) -> list[ArchivePoint]:
    """Puts candidates into the archive, one after the other; returns how it grew."""
    qualities = dict(zip(columns.numbers.tolist(), columns.scalars.tolist(), strict=True))
    taken = [(number, found) for number, found in measured if isfinite(qualities.get(number, nan))]
    wanted = {round(place) for place in linspace(1, len(taken), min(MOST_POINTS, len(taken)))}
    points, sum_of_qualities = [], 0.0
    for place, (number, found) in enumerate(taken, start=1):
        cell = archive.cell_of(found)
        before = archive.quality_in(cell, worst)
        if archive.add(number, qualities[number], found):
            sum_of_qualities += qualities[number] - before
        if place in wanted:
            points.append(
                ArchivePoint(candidates=place, coverage=archive.coverage, qd_score=sum_of_qualities)
            )
    return points
