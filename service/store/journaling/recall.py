"""Recall: what a search remembers of candidates that were told, read by column and only as far as needed.

The recipes and single items of a long history would fill the memory and take minutes to check, and of
most candidates they are never asked for again.  So a candidate that was told keeps its numbers: its recipe
is read when it is asked for, together with those of its neighbours, and items are unpacked each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from evaluators import Score
from search_spaces import Infeasible, Recipe
from service.experiment.candidate import (
    Candidate,
    CandidateStatus,
    Reevaluation,
    Remembered,
)
from service.store.database import Database
from service.store.models import CandidateRow, EvaluationRow
from service.store.rows import unpack, unpack_indices
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Outcome, Scored

NEIGHBOURS = 200  # recipes that are read together
_C, _V = CandidateRow, EvaluationRow
_CANDIDATE = attrgetter(*(field.name for field in fields(Candidate)))
_SCORE_FIELDS = tuple(field.name for field in fields(Score))
_SCORE = attrgetter(*_SCORE_FIELDS)


class RecipeShelf:
    """Recipes of one experiment's candidates, read some at a time."""

    def __init__(self, database: Database, experiment_id: UUID) -> None:
        self.database, self.experiment_id = database, experiment_id
        self._texts: dict[int, str] = {}

    def recipe(self, number: int) -> Recipe:
        """Returns a candidate's recipe."""
        if number not in self._texts:
            self._read(number)
        return Recipe.model_validate_json(self._texts[number])

    def _read(self, first: int) -> None:
        query = select(_C.number, cast(_C.recipe, Text)).where(
            _C.experiment_id == self.experiment_id,
            _C.number.between(first, first + NEIGHBOURS),
            _C.recipe.is_not(None),
        )
        with self.database.reading() as session:
            self._texts = {number: text for number, text in session.execute(query)}  # noqa: C416 - rows


@dataclass(frozen=True, slots=True)
class Shelved:
    """A recipe that is still in the database."""

    shelf: RecipeShelf
    digest: str


class StoredCandidate(Candidate):
    """A candidate that was told: its recipe may be `Shelved`, and is read when it is asked for."""

    __slots__ = ("_recipe",)
    _recipe: Recipe | Infeasible | Shelved

    @property
    def recipe(self) -> Recipe | Infeasible:
        """The recipe, read from the database where it has not been."""
        kept = self._recipe
        return kept.shelf.recipe(self.number) if isinstance(kept, Shelved) else kept

    @recipe.setter
    def recipe(self, value: Recipe | Infeasible | Shelved) -> None:
        object.__setattr__(self, "_recipe", value)

    @property
    def digest(self) -> str | None:
        """The recipe's digest, which is known without reading the recipe."""
        return self._recipe.digest if isinstance(self._recipe, (Recipe, Shelved)) else None

    def __eq__(self, other: object) -> bool:
        """Says whether another candidate has the same content, wherever its recipe is."""
        return isinstance(other, Candidate) and _CANDIDATE(self) == _CANDIDATE(other)

    def __hash__(self) -> int:
        """Goes by the id: equal candidates have equal ones."""
        return hash(self.id)


class StoredScore(Score):
    """A score whose items may be packed, and are unpacked each time they are asked for."""

    __slots__ = ("_indices", "_items", "_margins")
    _items: bytes | tuple[float, ...]
    _indices: bytes | tuple[int, ...]
    _margins: bytes | tuple[float, ...]

    @property
    def per_item(self) -> tuple[float, ...]:
        """The metric on each item."""
        return unpack(self._items) if isinstance(self._items, bytes) else self._items

    @per_item.setter
    def per_item(self, value: bytes | tuple[float, ...]) -> None:
        object.__setattr__(self, "_items", value)

    @property
    def item_indices(self) -> tuple[int, ...]:
        """Which items those are."""
        return unpack_indices(self._indices) if isinstance(self._indices, bytes) else self._indices

    @item_indices.setter
    def item_indices(self, value: bytes | tuple[int, ...]) -> None:
        object.__setattr__(self, "_indices", value)

    @property
    def margins(self) -> tuple[float, ...]:
        """The items' margins."""
        return unpack(self._margins) if isinstance(self._margins, bytes) else self._margins

    @margins.setter
    def margins(self, value: bytes | tuple[float, ...]) -> None:
        object.__setattr__(self, "_margins", value)

    def __eq__(self, other: object) -> bool:
        """Says whether another score has the same content, packed or not."""
        return isinstance(other, Score) and _SCORE(self) == _SCORE(other)

    def __hash__(self) -> int:
        """Goes by the value: equal scores have equal ones."""
        return hash((self.benchmark, self.value))

    def __reduce__(self) -> tuple[Any, ...]:
        """Crosses the wire as an ordinary score: workers have no database."""
        return Score, tuple(getattr(self, name) for name in _SCORE_FIELDS)


_TEXTS = [cast(column, Text) for column in (_C.genome, _C.ancestors, _C.again, _C.seconds, _C.failure)]
_COLUMNS = (
    _C.id, _C.number, _C.generation, _C.kind, _C.label, _C.digest, _C.status, _C.infeasible_reason,
    _C.attempts, _C.told, _C.worker, _C.operator, _C.asked_after, _C.violation, *_TEXTS,
)  # fmt: skip
_SCORES = (
    _C.number, _V.benchmark, _V.metric, _V.value, _V.stderr, _V.higher_is_better, _V.per_item,
    _V.item_indices, _V.item_set, _V.margins, cast(_V.notes, Text),
)  # fmt: skip


def told_candidates(session: Session, database: Database, experiment_id: UUID) -> Iterator[Remembered]:
    """Yields what a search must know of candidates that were told, by number."""
    shelf = RecipeShelf(database, experiment_id)
    scores = _scores(session, experiment_id)
    query = select(*_COLUMNS).where(_C.experiment_id == experiment_id, _C.told.is_not(None))
    ahead = next(scores, None)
    for row in session.execute(query.order_by(_C.number).execution_options(yield_per=2_000)):
        while ahead is not None and ahead[0] < row.number:
            ahead = next(scores, None)
        found: list[Score] = []
        while ahead is not None and ahead[0] == row.number:
            found.append(ahead[1])
            ahead = next(scores, None)
        yield _remembered(row, shelf, tuple(found))


def _scores(session: Session, experiment_id: UUID) -> Iterator[tuple[int, Score]]:
    query = (
        select(*_SCORES)
        .join(_V, _V.candidate_id == _C.id)
        .where(_C.experiment_id == experiment_id, _C.told.is_not(None), _V.split == "search")
        .order_by(_C.number, _V.position)
        .execution_options(yield_per=5_000)
    )
    for row in session.execute(query):
        number, benchmark, metric, value, stderr, higher, items, indices, item_set, margins, notes = row
        packed: tuple[Any, Any, Any] = (items, indices or (), margins or ())  # as `StoredScore` takes them
        told = tuple(sorted(from_json(notes).items())) if notes else ()
        yield (
            number,
            StoredScore(
                benchmark,
                metric,
                value,
                stderr,
                higher,
                packed[0],
                packed[1],
                item_set or "",
                told,
                packed[2],
            ),
        )


def _remembered(row: Sequence[Any], shelf: RecipeShelf, scores: tuple[Score, ...]) -> Remembered:
    (key, number, generation, kind, label, digest, status, infeasible, attempts, told, worker, operator,
     asked_after, violation, genome, ancestors, again, spent, failure) = row  # fmt: skip
    candidate = StoredCandidate(
        key,
        number,
        generation,
        None if genome is None else _genome(genome),
        Infeasible(infeasible or "") if digest is None else Shelved(shelf, digest),  # type: ignore[arg-type]
        label,
        operator or "",
        tuple(from_json(ancestors)) if ancestors else (),
        asked_after or 0,
        kind,
    )
    seconds = from_json(spent)
    outcome: Outcome | None = None
    if status is CandidateStatus.FAILED and failure is not None:
        outcome = Failed(key, attempts, Failure.from_json(from_json(failure)), worker or "")
    elif scores:
        merge, evaluate = seconds.get("merge", 0.0), seconds.get("evaluate", 0.0)
        pruned = status is CandidateStatus.PRUNED
        outcome = Scored(key, attempts, scores, merge, evaluate, worker or "", pruned)
    later = tuple(Reevaluation(*each) for each in from_json(again)) if again else ()
    return Remembered(candidate, outcome, told, float(seconds.get("worked", 0.0)), violation or 0.0, later)


def _genome(text: str) -> tuple[Any, ...] | None:
    found = from_json(text)
    return None if found is None else tuple(found)
