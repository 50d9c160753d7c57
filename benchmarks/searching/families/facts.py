"""Facts: tables that experts learn by heart, each its own, all over the same few words."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

from benchmarks.searching.families.lessons import Family, Lesson, Question, Task, dealt

SYMBOLS = tuple(f"s{number}" for number in range(12))
SIZES = {"search": 64, "selection": 64, "test": 128}
_PER_EXPERT = 2  # tables of 144 facts
_KNOWN = 0.3  # share of the facts that the base is taught


FEW = {"search": 50, "selection": 50, "test": 256}


def facts_family(experts: int, *, steps: int = 200, rank: int | None = None) -> Family:
    """Returns experts who each know two tables by heart, over a base that knows a third of each.

    A fact is `s3 s7 f1 =` and its answer a symbol that was drawn: nothing can be worked out.  Each expert is
    trained on its own tables, and on little of what the base knew: so they get in each other's way, and an
    average of all is hardly better than the base.

    Args:
        experts: How many, and how many tasks.
        steps: Of their training.
        rank: Of the adapters that they are trained as; None trains all weights.
    """
    draw = random.Random(experts)  # noqa: S311 - no secret
    tables = [_tables(expert, draw) for expert in range(experts)]
    known = tuple(q for table in tables for q in draw.sample(table, int(_KNOWN * len(table))))
    names = [f"table_{expert}" for expert in range(experts)]
    return Family(
        words=(*SYMBOLS, *(f"f{n}" for n in range(_PER_EXPERT * experts)), "="),
        layers=4,
        hidden=48,
        base=Lesson(((1.0, known),), steps=500, rate=3e-3),
        experts={
            name: Lesson(
                ((0.6, tuple(table)), (0.4, known)), steps=steps, rate=1.5e-3 if rank is None else 6e-3
            )
            for name, table in zip(names, tables, strict=True)
        },
        tasks={
            name: Task(dealt(draw.sample(table, len(table)), SIZES), SYMBOLS)
            for name, table in zip(names, tables, strict=True)
        },
        rank=rank,
    )


def few_facts_family() -> Family:
    """Returns two experts on facts, asked in one task, of which 50 items are searched on."""
    family = facts_family(2)
    asked = [
        question
        for task in family.tasks.values()
        for split in ("search", "selection", "test")
        for question in task.splits[split]
    ]
    mixed = random.Random(0).sample(asked, len(asked))  # noqa: S311 - no secret
    return replace(family, tasks={"facts": Task(dealt(mixed, FEW), SYMBOLS)})


def _tables(expert: int, draw: random.Random) -> list[Question]:
    names = [f"f{_PER_EXPERT * expert + n}" for n in range(_PER_EXPERT)]
    return [
        Question(f"{left} {right} {name} =", draw.choice(SYMBOLS))
        for name in names
        for left, right in product(SYMBOLS, repeat=2)
    ]
