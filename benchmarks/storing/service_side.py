"""Our side of the store benchmark: the search loop as it is, over the database's journal."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from benchmarks.storing.instant_workforce import ITEMS, InstantWorkforce
from service.experiment.candidate import CandidateStatus
from service.experiment.objectives import ObjectiveFacts
from service.experiment.spec import ExperimentSpec
from service.search.loop import SearchLoop
from service.search.plan import SearchPlan
from service.specification.planning import ExperimentFacts, build_optimizer_for, build_space_for
from service.store.database import Database
from service.store.journal import DatabaseJournal
from service.store.models import CandidateRow, EvaluationRow
from service.store.repository import Repository
from workers.protocol.messages import Workforce

FILTERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "input_layernorm",
           "post_attention_layernorm", "q_norm", "k_norm"]  # fmt: skip
GENES = 24  # a weight per filter, for all other tensors too, and parent
SHAPE: dict[str, Any] = {"layers": 12, "layer_prefix": "model.layers."}


@dataclass(frozen=True, slots=True)
class Stored:
    """What a run took, and what is in the database after it.

    Attributes:
        finished: Candidates that have ended and were told.
        values: Numbers stored of them: genes and scores.
    """

    seconds: float
    finished: int
    values: int


@dataclass(frozen=True, slots=True)
class Begun:
    """An experiment that is in the database, and what its loop is built from."""

    key: UUID
    spec: ExperimentSpec
    facts: dict[str, Any]


def begun(database: Database, name: str, *, candidates: int, seed: int) -> Begun:
    """Adds an experiment."""
    spec, facts = spec_of(name, candidates, seed), facts_of(candidates).model_dump(mode="json")
    with database.session() as session:
        row = Repository(session).create_experiment(name, spec.model_dump(mode="json"), facts=facts)
    return Begun(row.id, spec, facts)


def loop_over(database: Database, search: Begun, workforce: Workforce, *, in_flight: int) -> SearchLoop:
    """Returns the loop over an experiment, which goes on wherever it stands."""
    space = build_space_for(search.spec, search.facts)
    if len(space.variables) != GENES:
        raise ValueError(f"the space has {len(space.variables)} genes, not {GENES}")
    return SearchLoop(
        # Without baselines, which a peer has none of: both sides count the same things.
        SearchPlan((), search.spec.budget, window=in_flight),
        space=space,
        optimizer=build_optimizer_for(search.spec, space, search.facts),
        workforce=workforce,
        journal=DatabaseJournal(database, search.key, 0),
    )


def durable_search(database: Database, name: str, *, candidates: int, in_flight: int, seed: int) -> Stored:
    """Asks for and tells of candidates, each written down before it counts."""
    search = begun(database, name, candidates=candidates, seed=seed)
    loop = loop_over(database, search, InstantWorkforce(in_flight, ["sphere"]), in_flight=in_flight)
    started = perf_counter()
    loop.run()
    seconds = perf_counter() - started
    return Stored(seconds, *_count(database, search.key))


def spec_of(name: str, candidates: int, seed: int) -> ExperimentSpec:
    """Returns a spec whose space has `GENES` real genes."""
    return ExperimentSpec.model_validate(
        {
            "name": name,
            "parents": ["/models/left", "/models/right"],
            "base": "/models/base",
            "objectives": [{"task": "sphere"}],
            "space": {"method": "task_arithmetic", "layer_groups": 1, "filters": FILTERS},
            "optimizer": {"algorithm": "random"},
            "budget": {"candidates": candidates},
            "seed": seed,
        }
    )


def facts_of(candidates: int) -> ExperimentFacts:
    """Returns what a check would have found out."""
    items = {"search": ITEMS, "selection": ITEMS, "test": ITEMS}
    objective = ObjectiveFacts.model_validate(
        {
            "name": "sphere", "task": "sphere", "metric": "acc,none", "higher_is_better": True, "weight": 1.0,
            "items": items,
        }
    )  # fmt: skip
    return ExperimentFacts(
        objectives=(objective,), parameters=1000, parent_bytes=12_000, baselines=(),
        first_budget=candidates, **SHAPE,
    )  # fmt: skip


def _count(database: Database, key: UUID) -> tuple[int, int]:
    """Returns how many candidates have ended and were told, and how many numbers are stored of them."""
    ended = (
        CandidateRow.experiment_id == key,
        CandidateRow.status == CandidateStatus.SCORED,
        CandidateRow.told.is_not(None),
    )
    with database.reading() as session:
        genomes = session.scalars(select(CandidateRow.genome).where(*ended)).all()
        joined = select(func.count()).join(CandidateRow, CandidateRow.id == EvaluationRow.candidate_id)
        scores = session.scalar(joined.select_from(EvaluationRow).where(*ended)) or 0
    return len(genomes), sum(len(genome or ()) for genome in genomes) + scores
