"""Columns as bytes say what the rows say."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from evaluators import Split
from service.experiment.candidate import CandidateKind
from service.experiment.objectives import ObjectiveFacts, Objectives
from service.reports.packed_columns import packed
from service.reports.score_columns import ScoreColumns
from service.store.columns import Origin

ITEMS: dict[Split, int] = {"search": 10, "selection": 10, "test": 10}
OBJECTIVES = Objectives(
    tuple(
        ObjectiveFacts(name=name, task=name, metric=metric, higher_is_better=higher, weight=1.0, items=ITEMS)
        for name, metric, higher in (("sums", "acc,none", True), ("words", "perplexity,none", False))
    )
)
VALUES = [(0.2, 9.0), (0.9, 5.0), (0.5, 2.0), (0.4, 3.0)]


def columns() -> ScoreColumns:
    count = len(VALUES)
    return ScoreColumns(
        split="search",
        objectives=OBJECTIVES,
        newest=17,
        numbers=np.arange(count),
        kinds=np.array([CandidateKind.PARENT, *[CandidateKind.EVOLVED] * 3], dtype=object),
        labels=np.array(["parent: left", None, None, None], dtype=object),
        violations=np.zeros(count),
        told=np.arange(count),
        values=np.array(VALUES),
        errors=np.full((count, 2), 0.5),
        items=np.full((count, 2), 10),
        parts=np.zeros((count, 2), dtype=bool),
    )


def unpacked(numbers: frozenset[int] | None = None) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    origins = [Origin(n, generation=n // 2, operator="crossover" if n else "", method="") for n in range(4)]
    data = packed(
        columns(), origins, numbers=numbers, winner=2, held_out={2: [0.4, 3.0]}, shares=[True, False]
    )
    length = int.from_bytes(data[:4], "little")
    header: dict[str, Any] = json.loads(data[4 : 4 + length])
    assert (4 + length) % 4 == 0
    return header, np.frombuffer(data[4 + length :], dtype="<i4").reshape(10, header["count"])


def test_every_scored_candidate_is_there_with_scores_and_origin() -> None:
    header, arrays = unpacked()

    number, kind, generation, operator, _, rank = arrays[:6].tolist()
    assert number == [0, 1, 2, 3]
    assert [header["kinds"][code] for code in kind] == ["parent", "evolved", "evolved", "evolved"]
    assert generation == [0, 0, 1, 1]
    assert [header["operators"][code] for code in operator] == ["", "crossover", "crossover", "crossover"]
    assert rank == [3, 1, 1, 2]
    assert header["front"] == [1, 2]
    floats = arrays[6:].view("<f4")
    assert np.allclose(floats[:2].T, VALUES)
    assert (floats[2:] == 0.5).all()
    assert header["labels"] == {"0": "parent: left"}


def test_what_changed_is_sent_alone_but_the_front_is_told_whole() -> None:
    header, arrays = unpacked(frozenset({3}))

    assert arrays[0].tolist() == [3]
    assert header["whole"] is False
    assert header["front"] == [1, 2]
    assert header["newest"] == 17
