"""Invariants of scores: of the right model, finite, the same for the same model, and of the right split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from service.experiment.candidate import ADDED_KINDS, CandidateStatus
from service.experiment.enqueued import EnqueuedBy
from service.store.invariants.invariant import Invariant, Row
from service.store.models import CandidateRow, EvaluationRow, ExperimentRow, GenerationRow, OpeningRow

_C, _E, _V, _G = CandidateRow, ExperimentRow, EvaluationRow, GenerationRow
_LARGEST = 1.7e308  # Postgres orders NaN after every number
_ROWS_AT_ONCE = 1_000
_PLACE = (_E.name.label("experiment"), _C.number, _V.split, _V.benchmark)


def _digests(session: Session) -> Iterator[Row]:
    """Candidates whose digest is not that of their recipe: SHA-256 of its canonical JSON."""
    query = select(_E.name, _C.number, _C.digest, _C.recipe).join(_E, _E.id == _C.experiment_id)
    query = query.where(_C.recipe.is_not(None)).execution_options(yield_per=_ROWS_AT_ONCE)
    for name, number, digest, recipe in session.execute(query):
        text = json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            yield {"experiment": name, "number": number, "digest": digest}


def _benchmarks(session: Session) -> Iterator[Row]:
    """Scored candidates that lack an objective's score on the search split, or have one of none."""
    objectives = {
        key: {found["name"] for found in facts.get("objectives", ())}
        for key, facts in session.execute(select(_E.id, _E.facts))
    }
    query = (
        select(_E.id, _E.name, _C.number, _V.benchmark)
        .join(_C, _C.experiment_id == _E.id)
        .join(_V, _V.candidate_id == _C.id)
        .where(_V.split == "search", _C.status == CandidateStatus.SCORED)
        .order_by(_E.id, _C.number)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    at: tuple[Any, ...] | None = None
    found: set[str] = set()
    for key, name, number, benchmark in session.execute(query):
        if at is not None and at != (key, name, number):
            yield from _unlike(at, found, objectives[at[0]])
            found = set()
        at = (key, name, number)
        found.add(benchmark)
    if at is not None:
        yield from _unlike(at, found, objectives[at[0]])


def _unlike(at: tuple[Any, ...], found: set[str], wanted: set[str]) -> Iterator[Row]:
    if found != wanted:
        yield {"experiment": at[1], "number": at[2], "scores": sorted(found), "objectives": sorted(wanted)}


_NOT_FINITE = (
    select(*_PLACE, _V.value, _V.stderr)
    .join(_C, _C.id == _V.candidate_id)
    .join(_E, _E.id == _C.experiment_id)
    .where(
        or_(
            _V.value > _LARGEST,
            _V.value < -_LARGEST,
            _V.stderr > _LARGEST,
            _V.stderr < 0,
            _V.items < 1,
        )
    )
)
_TWINS_DIFFER = (
    select(_E.name.label("experiment"), _C.digest, _V.split, _V.benchmark)
    .join(_C, _C.id == _V.candidate_id)
    .join(_E, _E.id == _C.experiment_id)
    .where(_V.item_indices.is_(None), _C.digest.is_not(None))
    .where(func.coalesce(_C.operator, "") != EnqueuedBy.REEVALUATION)  # sampled answers differ
    .group_by(_E.name, _C.digest, _V.split, _V.benchmark)
    .having(func.min(_V.value) != func.max(_V.value))
)
_HELD_OUT_BEFORE_OPENING = (
    select(*_PLACE)
    .join(_C, _C.id == _V.candidate_id)
    .join(_E, _E.id == _C.experiment_id)
    .where(_V.split == "test", _E.test_opened_at.is_(None))
)


def _held_out_of_others(session: Session) -> Iterator[Row]:
    """Candidates with scores on the test split for which it was never opened."""
    opened: dict[Any, set[int]] = {}
    for key, numbers in session.execute(select(OpeningRow.experiment_id, OpeningRow.numbers)):
        opened.setdefault(key, set()).update(numbers)
    query = select(_E.id, _E.name, _C.number).join(_C, _C.experiment_id == _E.id).distinct()
    query = query.join(_V, _V.candidate_id == _C.id).where(_V.split == "test", _C.kind.not_in(ADDED_KINDS))
    for key, name, number in session.execute(query):
        if key in opened and number not in opened[key]:
            yield {"experiment": name, "number": number}


_TOLD = (
    select(func.count(_C.told)).where(_C.experiment_id == _G.experiment_id).correlate(_G).scalar_subquery()
)
_BEST = select(_C.told).where(_C.experiment_id == _G.experiment_id, _C.number == _G.best_number).correlate(_G)
_BEST_TOLD = _BEST.scalar_subquery()
_COURSE = (
    select(_E.name.label("experiment"), _G.generation, _G.settled, _G.best_number)
    .join(_E, _E.id == _G.experiment_id)
    .where(
        or_(
            _G.settled > _TOLD,
            and_(_G.best_number.is_not(None), or_(_BEST_TOLD.is_(None), _G.settled <= _BEST_TOLD)),
        )
    )
)

INVARIANTS = (
    Invariant(
        "I7",
        "no wrong score",
        "A digest is that of its recipe, and a scored candidate has one score per objective.",
        (_digests, _benchmarks),
    ),
    Invariant(
        "I13",
        "equal models, equal scores",
        "Candidates of an experiment with equal recipes that answered all items have equal scores.",
        (_TWINS_DIFFER,),
    ),
    Invariant(
        "I16",
        "finite scores",
        "Every score and standard error is a finite number, over at least one item.",
        (_NOT_FINITE,),
    ),
    Invariant(
        "I22",
        "held out",
        "Nothing has scores on the test split before it was opened, or without having been named then.",
        (_HELD_OUT_BEFORE_OPENING, _held_out_of_others),
    ),
    Invariant(
        "I23",
        "the course agrees",
        "No generation counts more candidates than were told, and its best was told by then.",
        (_COURSE,),
    ),
)
