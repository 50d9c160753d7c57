"""Chains: functions applied one after the other, every step said, as reasoning is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

from benchmarks.searching.families.lessons import Family, Lesson, Question, Task, dealt

_SYMBOLS = tuple(f"s{number}" for number in range(24))
_FUNCTIONS = {"base": ("f0", "f1"), "left": ("f2", "f3", "f4"), "right": ("f5", "f6", "f7")}
SIZES = {"search": 64, "selection": 64, "test": 128}
_Maps = dict[str, dict[str, str]]


def chains_family(length: int = 2) -> Family:
    """Returns two experts who each know three functions, and questions that need both.

    `s3 f2 f5 =` goes on `s9 s1`: first f2 of s3, then f5 of that.  The base is taught to go step by step
    with two functions of its own, each expert with its three and the base's, and none is ever shown a chain
    of both experts' functions.

    Args:
        length: Steps of the chains that are asked, and the most that anything is taught.
    """
    draw = random.Random(length)  # noqa: S311 - no secret
    maps: _Maps = {
        name: dict(zip(_SYMBOLS, draw.sample(_SYMBOLS, len(_SYMBOLS)), strict=True))
        for names in _FUNCTIONS.values()
        for name in names
    }
    of_base, left, right = _FUNCTIONS.values()
    return Family(
        words=(*_SYMBOLS, *maps, "="),
        layers=4,
        hidden=48,
        base=Lesson(_taught(of_base, (), length, maps), steps=900, rate=3e-3),
        experts={
            "left": Lesson(_taught(left, of_base, length, maps), steps=350, rate=2e-3),
            "right": Lesson(_taught(right, of_base, length, maps), steps=350, rate=2e-3),
        },
        tasks={
            "both": _task(_mixed(left, right, length), maps, draw),
            "left": _task(list(product(left, repeat=length)), maps, draw),
            "right": _task(list(product(right, repeat=length)), maps, draw),
        },
    )


def _taught(
    own: Sequence[str], known: Sequence[str], length: int, maps: _Maps
) -> tuple[tuple[float, tuple[Question, ...]], ...]:
    """Returns chains of all lengths up to the longest, each length as often as the others."""
    return tuple(
        (1.0, tuple(_asked(list(product((*own, *known), repeat=steps)), maps)))
        for steps in range(1, length + 1)
    )


def _mixed(left: Sequence[str], right: Sequence[str], length: int) -> list[tuple[str, ...]]:
    """Returns chains that hold functions of both experts."""
    return [
        chain
        for chain in product((*left, *right), repeat=length)
        if set(chain) & set(left) and set(chain) & set(right)
    ]


def _task(chains: list[tuple[str, ...]], maps: _Maps, draw: random.Random) -> Task:
    everything = list(_asked(chains, maps))
    asked = draw.sample(everything, min(len(everything), sum(SIZES.values())))
    few = len(asked) / sum(SIZES.values())
    return Task(dealt(asked, {split: int(size * min(few, 1.0)) for split, size in SIZES.items()}))


def _asked(chains: Sequence[tuple[str, ...]], maps: _Maps) -> Iterator[Question]:
    for chain in chains:
        for start in _SYMBOLS:
            steps, symbol = [], start
            for name in chain:
                symbol = maps[name][symbol]
                steps.append(symbol)
            yield Question(f"{start} {' '.join(chain)} =", " ".join(steps))
