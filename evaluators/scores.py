"""Score: one benchmark's result, with its standard error and its items."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evaluators.errors import BadScoreError


@dataclass(frozen=True, slots=True)
class Score:
    """What a model reached on one split of one benchmark.

    Attributes:
        benchmark: The benchmark's name in the experiment.
        metric: The metric and filter, as lm-eval writes them (`acc,none`).
        value: The metric's value.
        stderr: Its standard error; 0 where the metric has none.
        per_item: The metric on each item, in the split's order: what paired tests need.
    """

    benchmark: str
    metric: str
    value: float
    stderr: float
    higher_is_better: bool
    per_item: tuple[float, ...] = ()

    @property
    def fitness(self) -> float:
        """The value with its sign applied: larger is always better."""
        return self.value if self.higher_is_better else -self.value

    def check(self) -> None:
        """Refuses a value that is no number.

        Raises:
            BadScoreError: The value or its standard error is NaN or infinite.
        """
        if not (math.isfinite(self.value) and math.isfinite(self.stderr)):
            detail = f"{self.benchmark} scored {self.value} ± {self.stderr}"
            raise BadScoreError(
                self.metric, detail, "the merged weights are probably broken: look at the recipe"
            )
