"""What filters and orders of candidates may name."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, case, literal, select

from evaluators import SPLITS
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.store.filtering.columns import Field, FieldNamed, no_such_field
from service.store.models import CandidateRow, EvaluationRow

_C, _V = CandidateRow, EvaluationRow
_COLUMNS = {
    "number": Field(_C.number.expression, "number"),
    "generation": Field(_C.generation.expression, "number"),
    "status": Field(_C.status.expression, "text", CandidateStatus),
    "state": Field(_C.status.expression, "text", CandidateStatus),
    "kind": Field(_C.kind.expression, "text", CandidateKind),
    "label": Field(_C.label.expression),
    "operator": Field(_C.operator.expression),
    "digest": Field(_C.digest.expression),
    "worker": Field(_C.worker.expression),
    "attempts": Field(_C.attempts.expression, "number"),
    "violation": Field(_C.violation.expression, "number"),
    "told": Field(_C.told.expression, "number"),
    "created_at": Field(_C.created_at.expression, "time"),
    "settled_at": Field(_C.settled_at.expression, "time"),
    "seconds": Field(_C.seconds["merge"].as_float() + _C.seconds["evaluate"].as_float(), "number"),
    "failure.code": Field(_C.failure["code"].as_string()),
    "recipe.method": Field(_C.recipe["method"].as_string()),
    "ancestors": Field(_C.ancestors.expression, "list", sorted_by=False),
}


def candidate_fields(objectives: Collection[str], front: Collection[int]) -> FieldNamed:
    """Returns how the fields of an experiment's candidates are found by name.

    Args:
        objectives: Names of the objectives: `objectives.NAME` is the score on the search split,
            `search.NAME`, `selection.NAME` and `test.NAME` say which split.
        front: Numbers of the candidates that are on the front.
    """
    scores = {f"{split}.{name}": (split, name) for split in SPLITS for name in objectives}
    scores |= {f"objectives.{name}": ("search", name) for name in objectives}
    known = [*_COLUMNS, "on_front", *(name for name in scores if not name.startswith("search."))]

    def named(name: str) -> Field:
        if name in _COLUMNS:
            return _COLUMNS[name]
        if name == "on_front":
            return Field(case((_C.number.in_(front), True), else_=False), "truth", sorted_by=False)
        if name in scores:
            return Field(_score(*scores[name]), "number")
        raise no_such_field(name, known)

    return named


def _score(split: str, objective: str) -> ColumnElement[float]:
    query = select(_V.value).where(
        _V.candidate_id == _C.id, _V.split == literal(split), _V.benchmark == literal(objective)
    )
    return query.correlate(_C).scalar_subquery()
