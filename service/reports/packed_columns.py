"""Scores by column as bytes: what a page needs to draw and choose among many thousands of candidates.

A little-endian uint32 says how long the header is; the header is JSON, padded with spaces so that what
follows lies on a multiple of four.  Then come, each with one 32-bit number per candidate: number, kind,
generation, operator, method and rank as int32; the objectives' values and their standard errors as float32.
Kinds, operators and methods are places in the header's lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from service.experiment.objectives import ObjectiveFacts
from service.reports.score_columns import ScoreColumns
from service.store.columns import Origin

MOST_ROWS = 50_000
MOST_RANKED = 5_000
RANKS = 8  # fronts that are told apart; what is behind them shares the last rank


def packed(
    columns: ScoreColumns,
    origins: Sequence[Origin],
    *,
    numbers: frozenset[int] | None,
    winner: int | None,
    held_out: Mapping[int, Sequence[float]],
    shares: Sequence[bool],
) -> bytes:
    """Returns the columns as bytes.

    Args:
        columns: Of one split.
        origins: Of its candidates, in the same order or with more.
        numbers: The candidates that changed; None sends all.
        winner: The candidate that the selection split picked.
        held_out: The finalists' test scores by number, in the objectives' order.
        shares: Whether each objective is read in percent.
    """
    front = columns.front()
    rows = _rows(columns, front, numbers)
    kinds, kind = _coded([str(columns.kinds[row]) for row in rows])
    of = {origin.number: origin for origin in origins}
    known = [of[int(number)] for number in columns.numbers[rows]]
    operators, operator = _coded([origin.operator or "" for origin in known])
    methods, method = _coded([origin.method or "" for origin in known])
    ranks = _ranks(columns)
    header: dict[str, Any] = {
        "split": columns.split,
        "newest": columns.newest,
        "told": int(columns.told.max(initial=-1)),
        "whole": numbers is None,
        "count": len(rows),
        "objectives": [_objective(*each) for each in zip(columns.objectives, shares, strict=True)],
        "kinds": kinds,
        "operators": operators,
        "methods": methods,
        "front": columns.numbers[front].tolist(),
        "last_rank_is_open": bool(ranks.max(initial=0) > RANKS),
        "winner": winner,
        "held_out": held_out,
        "labels": _labels(columns),
    }
    generation = np.array([origin.generation for origin in known], dtype="<i4")
    integers = (columns.numbers[rows], kind, generation, operator, method, ranks[rows])
    floats = (*columns.values[rows].T, *columns.errors[rows].T)
    parts = [_bytes(array, "<i4") for array in integers] + [_bytes(array, "<f4") for array in floats]
    return _header(header) + b"".join(parts)


def _objective(one: ObjectiveFacts, share: bool) -> dict[str, Any]:  # noqa: FBT001 - out of a zip
    metric = one.metric.split(",")[0]
    return {
        "name": one.name,
        "title": f"{one.name} ({metric}{'' if one.higher_is_better else ', lower is better'})",
        "share": share,
        "higher_is_better": one.higher_is_better,
        "weight": one.weight,
    }


def _labels(columns: ScoreColumns) -> dict[int, str]:
    pairs = zip(columns.numbers.tolist(), columns.labels.tolist(), strict=True)
    return {number: label for number, label in pairs if label}


def _bytes(array: NDArray[Any], kind: str) -> bytes:
    return np.asarray(array, dtype=kind).tobytes()


def _rows(
    columns: ScoreColumns, front: NDArray[np.int64], numbers: frozenset[int] | None
) -> NDArray[np.int64]:
    """The rows that are sent: all, or those that changed; of very many the newest, and what has a name."""
    rows = np.flatnonzero(columns.complete)
    if numbers is not None:
        rows = rows[np.isin(columns.numbers[rows], list(numbers))]
    if len(rows) > MOST_ROWS:
        named = np.concatenate((front, np.flatnonzero(columns.complete & columns.is_baseline)))
        rows = np.union1d(rows[-MOST_ROWS:], named)
    return rows


def _coded(words: Sequence[str]) -> tuple[list[str], NDArray[np.int32]]:
    """Returns the different words, and each one's place among them."""
    names = sorted(set(words))
    places = {name: place for place, name in enumerate(names)}
    return names, np.array([places[word] for word in words], dtype=np.int32)


def _ranks(columns: ScoreColumns) -> NDArray[np.int32]:
    """Returns 1 for the front, 2 for the front without it, and so on; `RANKS + 1` for all behind."""
    ranks = np.full(len(columns.numbers), RANKS + 1, dtype=np.int32)
    left = np.flatnonzero(columns.complete & (columns.violations == 0))
    fitness = columns.values * columns.signs
    for rank in range(1, (RANKS if len(left) <= MOST_RANKED else 1) + 1):
        if not len(left):
            break
        best = moocore.is_nondominated(fitness[left], maximise=True)
        ranks[left[best]] = rank
        left = left[~best]
    return ranks


def _header(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text
