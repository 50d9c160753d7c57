"""Two models on the same items: the mean difference, and the exact two-sided test of better against worse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from service.reports.items.item_tables import ItemTable


@dataclass(frozen=True, slots=True)
class Paired:
    """The first model against the second on one objective, item by item.

    Attributes:
        difference: Mean fitness of the first less that of the second; `stderr` is its standard error.
        better, worse: On how many items the first does better or worse.
        p_value: Of as uneven a split of these items by chance (McNemar's exact test; the sign test where
            items have more than two marks).
    """

    objective: str
    metric: str
    items: int
    difference: float
    stderr: float
    better: int
    worse: int
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Says whether the models differ at the level of 5 %."""
        return self.p_value < 0.05


def paired(table: ItemTable, first: int = 0, second: int = 1) -> Paired:
    """Compares two rows of a table."""
    sign = 1.0 if table.higher_is_better else -1.0
    gaps = sign * (table.values[first] - table.values[second])
    better, worse = int((gaps > 0).sum()), int((gaps < 0).sum())
    decided = better + worse
    return Paired(
        objective=table.objective,
        metric=table.metric,
        items=len(gaps),
        difference=float(gaps.mean()),
        stderr=float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else 0.0,
        better=better,
        worse=worse,
        p_value=float(binomtest(better, decided).pvalue) if decided else 1.0,
    )
