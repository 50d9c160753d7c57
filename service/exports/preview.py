"""Previews: what an export would write and change, with nothing written and nothing put into the queue."""

from __future__ import annotations

from service.experiment.spec import ExperimentSpec
from service.exports.orders import order_for
from service.exports.publications import publication_at
from service.exports.requests import Wanted, checked_export
from service.exports.targets import HUB
from service.reports.views import ExportPreview
from service.settings import Settings
from service.store.database import Database
from service.store.models import ExportRow
from service.store.repository import Repository
from service.store.types import new_id
from workers.compatibility.licences.reading import terms_of
from workers.compatibility.licences.verdict import LicenceVerdict, judge
from workers.errors import WorkerError
from workers.protocol.messages import ExportInquiry, ExportOrder, ForeseenExport, Workforce
from workers.protocol.publications import Publication


def preview(
    database: Database, workforce: Workforce, settings: Settings, key: str, wanted: Wanted
) -> ExportPreview:
    """Returns what an export would write and change.

    No transaction is open while parents' cards are read and a worker looks at their headers.

    Raises:
        ServiceError: The export would be refused at once, but for licences: these are listed.
    """
    with database.reading() as session:
        spec = ExperimentSpec.model_validate(Repository(session).experiment(key).spec)
    terms = terms_of(spec.all_parents)
    publication, unseen = _publication(workforce, wanted.target or "")
    with database.reading() as session:
        repository = Repository(session)
        experiment = repository.experiment(key)
        number, target = checked_export(repository, settings, experiment, wanted)
        row = ExportRow(  # of no session: it is described, and never stored
            id=new_id(),
            experiment_id=experiment.id,
            candidate_number=number,
            target=target,
            options=wanted.options,
        )
        order = order_for(repository, row, settings, terms, publication)
    verdict = judge(terms)
    findings = licence_findings(verdict, target)
    foreseen = _foreseen(workforce, order)
    blocked = target.startswith(HUB) and findings and not wanted.accept_licences
    return ExportPreview(
        candidate=number,
        target=target,
        files=foreseen.files,
        bytes=sum(size or 0 for size in foreseen.files.values()),
        card=order.card,
        licence=f"{verdict.licence} ({verdict.name})" if verdict.name else verdict.licence,
        licence_findings=findings,
        change=foreseen.change,
        refusals=[
            *unseen,
            *foreseen.refusals,
            *(["licences stand in the way: --accept-licences publishes all the same"] if blocked else []),
        ],
        notes=[*foreseen.notes, *_version(order)],
    )


def _publication(workforce: Workforce, target: str) -> tuple[Publication | None, tuple[str, ...]]:
    """Returns what a repository holds, or why that cannot be seen."""
    try:
        return publication_at(workforce, target), ()
    except WorkerError as error:
        return None, (f"{error.detail}; {error.remedy}",)


def _version(order: ExportOrder) -> tuple[str, ...]:
    tag = None if order.hub is None else order.hub.tag
    return () if tag is None else (f"it would be tagged {tag}",)


def licence_findings(verdict: LicenceVerdict, target: str) -> list[str]:
    """Returns what the parents' licences put in the way of publishing under a target's name."""
    found = [problem.detail for problem in verdict.problems]
    naming = verdict.naming_problem(target.rpartition("/")[2]) if target.startswith(HUB) else None
    return found if naming is None else [*found, naming.detail]


def _foreseen(workforce: Workforce, order: ExportOrder) -> ForeseenExport:
    """Returns what a worker foresees; what it would refuse to merge is a refusal like others."""
    try:
        foreseen = workforce.run_job(ExportInquiry(order))
    except WorkerError as error:
        return ForeseenExport({}, "nothing", (f"{error.detail}; {error.remedy}",))
    if not isinstance(foreseen, ForeseenExport):
        raise TypeError(f"an inquiry about an export was answered with {type(foreseen).__name__}")
    return foreseen
