"""Facts: tables that experts learn by heart, each its own, all over the same few words."""

from __future__ import annotations

import random
from itertools import product

from benchmarks.searching.families.lessons import Family, Lesson, Question, Task, dealt

SYMBOLS = tuple(f"s{number}" for number in range(12))
SIZES = {"search": 64, "selection": 64, "test": 128}
_PER_EXPERT = 2  # tables of 144 facts
_KNOWN = 0.3  # share of the facts that the base is taught


def facts_family(experts: int, *, steps: int = 200) -> Family:
    """Returns experts who each know two tables by heart, over a base that knows a third of each.

    A fact is `s3 s7 f1 =` and its answer a symbol that was drawn: nothing can be worked out.  Each expert is
    trained on its own tables, and on little of what the base knew: so they get in each other's way, and an
    average of all is hardly better than the base.
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
            name: Lesson(((0.6, tuple(table)), (0.4, known)), steps=steps, rate=1.5e-3)
            for name, table in zip(names, tables, strict=True)
        },
        tasks={
            name: Task(dealt(draw.sample(table, len(table)), SIZES), SYMBOLS)
            for name, table in zip(names, tables, strict=True)
        },
    )


def _tables(expert: int, draw: random.Random) -> list[Question]:
    names = [f"f{_PER_EXPERT * expert + n}" for n in range(_PER_EXPERT)]
    return [
        Question(f"{left} {right} {name} =", draw.choice(SYMBOLS))
        for name in names
        for left, right in product(SYMBOLS, repeat=2)
    ]
