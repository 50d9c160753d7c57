"""What filters and orders of experiments may name."""

from __future__ import annotations

from service.experiment.status import ExperimentStatus
from service.store.filtering.columns import Field, no_such_field
from service.store.models import ExperimentRow

_E = ExperimentRow
_FIELDS = {
    "name": Field(_E.name.expression),
    "status": Field(_E.status.expression, "text", ExperimentStatus),
    "state": Field(_E.status.expression, "text", ExperimentStatus),
    "algorithm": Field(_E.facts["algorithm"].as_string()),
    "notes": Field(_E.spec["notes"].as_string(), sorted_by=False),
    "tags": Field(_E.tags.expression, "list", sorted_by=False),
    "parents": Field(_E.spec["parents"].as_string(), sorted_by=False),
    "starred": Field(_E.starred.expression, "truth", sorted_by=False),
    "priority": Field(_E.spec["priority"].as_float(), "number"),
    "created_at": Field(_E.created_at.expression, "time"),
    "ended_at": Field(_E.ended_at.expression, "time"),
    "search_seconds": Field(_E.search_seconds.expression, "number"),
}


def experiment_field(name: str) -> Field:
    """Returns a field of experiments by its name.

    Raises:
        InvalidSpecError: There is no such field.
    """
    if name not in _FIELDS:
        raise no_such_field(name, [*_FIELDS])
    return _FIELDS[name]
