"""Lineage: all ancestors of a candidate, also those that no archive holds any more."""

from __future__ import annotations

from service.reports.experiments import score_views
from service.reports.search_views import LineageNode, LineageView
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository

MOST_NODES = 2000


def lineage_view(repository: Repository, experiment: ExperimentRow, number: int) -> LineageView:
    """Returns the candidate's lineage, nearest ancestors first where it has to be cut.

    Raises:
        NotFoundError: There is no such candidate.
    """
    found = {number: repository.candidate(experiment.id, number)}
    wanted = set(found[number].ancestors or ())
    while wanted and len(found) < MOST_NODES:
        room = sorted(wanted, reverse=True)[: MOST_NODES - len(found)]
        found |= {row.number: row for row in repository.candidates_numbered(experiment.id, room)}
        wanted = {n for row in found.values() for n in row.ancestors or ()} - found.keys()
    nodes = [_node(found[key]) for key in sorted(found)]
    return LineageView(candidate=number, complete=not wanted, nodes=nodes)


def _node(row: CandidateRow) -> LineageNode:
    return LineageNode(
        number=row.number,
        label=row.label,
        generation=row.generation,
        status=row.status,
        operator=row.operator or "",
        ancestors=list(row.ancestors or ()),
        scores=score_views(row.evaluations).get("search", []),
    )
