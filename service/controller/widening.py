"""A search that ended at the bounds of its space goes on in a wider one, from everything that it knows.

An experiment's space cannot change while it stands, because its genomes are points of it.  So the wider
search is an experiment of its own, whose generation 0 holds what the first one scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.errors import ConflictError
from service.examination.bounds import ended_weights
from service.experiment.spec import ExperimentSpec
from service.specification.planning import build_space_for
from service.store.models import ExperimentRow
from service.store.repository import Repository

_PLACES: Mapping[str, tuple[str, ...]] = {"parameter": (), "joint": ("parameter",)}
"""Where a space says the bounds of its weights, by its kind."""


def widened(repository: Repository, experiment: ExperimentRow) -> dict[str, Any]:
    """Returns what a spec must say otherwise to search on in wider bounds, as a merge patch.

    Raises:
        ConflictError: The experiment has no winner, none of its weights lies at its upper bound, or its
            space has no bounds to widen.
    """
    remedy = f"`evomerge extend {experiment.name} --candidates N` has it go on as it is"
    kind = experiment.spec["space"].get("kind", "parameter")
    if kind not in _PLACES:
        raise ConflictError(f"a space of kind {kind} has no bounds of weights", remedy)
    if experiment.winner is None:
        detail = f"{experiment.name} is {experiment.status.words} and has no winner"
        raise ConflictError(detail, "wait for its end")
    number = int(experiment.winner["number"])
    genome = repository.candidate(experiment.id, number).genome
    space = build_space_for(ExperimentSpec.model_validate(experiment.spec), experiment.facts)
    found = None if genome is None else ended_weights(tuple(genome), space.variables)
    if found is None:
        detail = f"no weight of the winner of {experiment.name} (candidate {number}) lies at its upper bound"
        raise ConflictError(detail, remedy)
    bounds: dict[str, Any] = {"bounds": {"weight": list(found.to_try)}}
    for key in _PLACES[kind]:
        bounds = {key: bounds}
    before = experiment.spec.get("transfer") or []
    transfer = "all" if before == "all" else list(dict.fromkeys([*before, experiment.name]))
    return {"space": bounds, "transfer": transfer}


def wider_name(experiment: ExperimentRow) -> str:
    """Returns what the wider search is called by default."""
    return f"{experiment.name}-wider"
