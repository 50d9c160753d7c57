"""The archive of a quality-diversity search, as a question put to the rows."""

from __future__ import annotations

from service.archives.grid import GridArchive, MeasureAxis
from service.errors import ConflictError
from service.experiment.candidate import CandidateStatus
from service.experiment.spec import ExperimentSpec
from service.reports.search_views import ArchiveView, CellView, MeasureView
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of, values_on


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
    objectives = objectives_of(experiment)
    archive = GridArchive([MeasureAxis(m.label, m.low, m.high, m.cells) for m in measures])
    labels: dict[int, str | None] = {}
    for row in repository.candidates(experiment.id, status=CandidateStatus.SCORED):
        fitness = objectives.fitness(values_on("search", row.evaluations))
        if fitness is None or row.measures is None or row.violation:
            continue
        labels[row.number] = row.label
        archive.add(row.number, objectives.scalar(fitness), row.measures)
    reference = experiment.reference
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
        qd_score=archive.qd_score(objectives.scalar(reference) if reference else 0.0),
    )
