"""ItemTable: what several models reached on each of the same items of one objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from evaluators import Score, Split
from service.store.repository import Repository

RIGHT = 0.5  # an item's mark from which it counts as solved


@dataclass(frozen=True, slots=True)
class ItemTable:
    """Models down, items across.

    Attributes:
        numbers: The candidates, one per row.
        items: (k,) Places of the items in the split.
        values: (n, k) The metric on each.
        margins: (n, k) By how much the right answer is likelier than the best wrong one, in nats; None
            where it is not known of every model.
    """

    objective: str
    metric: str
    higher_is_better: bool
    numbers: tuple[int, ...]
    items: NDArray[np.int64]
    values: NDArray[np.float64]
    margins: NDArray[np.float64] | None

    @property
    def is_right_or_wrong(self) -> bool:
        """Says whether every item is either solved or not."""
        return bool(np.isin(self.values, (0.0, 1.0)).all()) and self.higher_is_better

    @property
    def solved(self) -> NDArray[np.bool_]:
        """(n, k) Where an item is solved."""
        return np.asarray(self.values >= RIGHT)


def item_tables(
    repository: Repository, experiment_id: UUID, numbers: Sequence[int], split: Split
) -> list[ItemTable]:
    """Returns one table per objective that all of these candidates answered, on the items they share.

    Raises:
        NotFoundError: One of the candidates does not exist.
    """
    rows = [repository.candidate(experiment_id, number) for number in numbers]
    answers = [{s.benchmark: s for s in repository.answers(row, split)} for row in rows]
    if not answers:
        return []
    names = [name for name in answers[0] if all(name in found for found in answers)]
    tables = [_table(numbers, [found[name] for found in answers]) for name in names]
    return [table for table in tables if table is not None]


def _table(numbers: Sequence[int], scores: Sequence[Score]) -> ItemTable | None:
    places = [_places(score) for score in scores]
    common = places[0]
    for other in places[1:]:
        common = np.intersect1d(common, other)
    if not len(common):
        return None
    values = np.array([_on(common, at, s.per_item) for at, s in zip(places, scores, strict=True)])
    margins = None
    if all(len(score.margins) == len(score.per_item) for score in scores):
        margins = np.array([_on(common, at, s.margins) for at, s in zip(places, scores, strict=True)])
    first = scores[0]
    return ItemTable(
        first.benchmark, first.metric, first.higher_is_better, tuple(numbers), common, values, margins
    )


def _places(score: Score) -> NDArray[np.int64]:
    return np.array(score.item_indices or range(len(score.per_item)), dtype=np.int64)


def _on(common: NDArray[np.int64], places: NDArray[np.int64], values: Sequence[float]) -> NDArray[np.float64]:
    order = np.argsort(places, kind="stable")
    found = order[np.searchsorted(places[order], common)]
    return np.asarray(values, dtype=np.float64)[found]
