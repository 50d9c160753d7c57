"""Splits resemble each other, and an item never changes sides for it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluators import SPLITS, Benchmark, ItemShares
from evaluators.lm_eval.tasks.task_building import build_benchmark
from evaluators.sampling.strata import balanced, limited
from tests.evaluators.task_writing import CHOICE, GENERATION, write_task

RARE = 4  # one in so many items has another label


def items(count: int = 400, *, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"q": f"w{n % 28} w{n // 28 % 28} w{n // 784}", "a": int(n % RARE == 0)}
        for n in range(first, first + count)
    ]


def divided(folder: Path, data: list[dict[str, Any]], **settings: Any) -> dict[str, list[dict[str, Any]]]:
    write_task(folder, "words", {"train": data}, **CHOICE)
    built = build_benchmark(
        Benchmark(
            name="b",
            task="words",
            include_path=str(folder),
            splits=settings.pop("splits", ItemShares()),
            **settings,
        )
    )
    (subtask,) = built.subtasks
    return {split: list(subtask.items[split]) for split in SPLITS}


def share(chosen: list[dict[str, Any]]) -> float:
    return sum(int(item["a"]) for item in chosen) / len(chosen)


def test_labels_are_spread_evenly_over_the_splits(tmp_path: Path) -> None:
    gaps: list[float] = []
    loose: list[float] = []
    for seed in range(4):
        for stratify, found in ((True, gaps), (False, loose)):
            rule = ItemShares(seed=seed, stratify=stratify)
            splits = divided(tmp_path / f"{seed}{stratify}", items(), splits=rule)
            found += [abs(share(chosen) - 1 / RARE) for chosen in splits.values()]
    assert max(gaps) < max(loose)
    assert sum(gaps) < 0.5 * sum(loose)


def test_at_most_a_tenth_is_left_out_and_nothing_changes_sides(tmp_path: Path) -> None:
    even = divided(tmp_path / "even", items())
    loose = divided(tmp_path / "loose", items(), splits=ItemShares(stratify=False))
    more = divided(tmp_path / "more", items(100, first=400) + random.Random(0).sample(items(), 400))
    for split in SPLITS:
        questions = {item["q"] for item in even[split]}
        assert questions <= {item["q"] for item in loose[split]}
        assert len(questions) >= 0.9 * len(loose[split])
        for other in SPLITS:
            assert other == split or not questions & {item["q"] for item in more[other]}


def test_the_first_items_of_sorted_data_are_still_of_every_label(tmp_path: Path) -> None:
    data = sorted(items(), key=lambda item: item["a"])
    assert all(share(chosen) == 1 / RARE for chosen in divided(tmp_path, data, max_items=20).values())


def test_a_subject_counts_before_the_answer_and_free_answers_are_no_kinds(tmp_path: Path) -> None:
    data = [item | {"subject": "rare" if n % 10 == 0 else "usual"} for n, item in enumerate(items())]
    chosen = divided(tmp_path / "subject", data, max_items=20)["search"]
    assert Counter(item["subject"] for item in chosen) in (
        {"rare": 1, "usual": 19},
        {"rare": 2, "usual": 18},
    )
    free = [item | {"a": n} for n, item in enumerate(items())]
    write_task(tmp_path / "free", "words", {"train": free}, **GENERATION)
    rule = ItemShares(search=0.4, selection=0.2, test=0.4)
    built = build_benchmark(
        Benchmark(name="b", task="words", include_path=str(tmp_path / "free"), splits=rule)
    )
    assert sum(len(built.subtasks[0].items[split]) for split in SPLITS) == 400


def test_what_is_left_out_does_not_depend_on_the_order() -> None:
    data = items(40)
    kinds = ["x" if n < 10 else "y" for n in range(40)]
    chosen = list(range(5, 25))
    kept = {data[n]["q"] for n in balanced(kinds, chosen, data, seed=1)}
    turned = [data[n] for n in reversed(range(40))]
    again = balanced(kinds[::-1], [39 - n for n in reversed(chosen)], turned, seed=1)
    assert kept == {turned[n]["q"] for n in again}
    assert len(kept) >= 18


@pytest.mark.parametrize(("most", "expected"), [(4, [0, 1, 2, 6]), (8, list(range(8)))])
def test_a_limit_takes_each_kinds_share(most: int, expected: list[int]) -> None:
    assert limited(list("xxxxxxyy"), most) == expected
    assert limited(None, 3) == [0, 1, 2]
    assert Counter("aab"[n] for n in limited(list("aab"), 2)) == {"a": 1, "b": 1}
