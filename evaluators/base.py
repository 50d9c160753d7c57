"""What an evaluator is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from evaluators.scores import Score
from evaluators.splits import Split


@dataclass(frozen=True, slots=True)
class BenchmarkFacts:
    """What an evaluator found out about a benchmark before any model is loaded.

    Attributes:
        items: Number of items per split.
        metrics: The task's metrics, the chosen one first.
        higher_is_better: Of the chosen metric.
    """

    name: str
    items: dict[Split, int]
    metrics: tuple[str, ...]
    higher_is_better: bool


class Evaluator(Protocol):
    """Scores a model that lies in memory.  Knows nothing of recipes, parents or Ray.

    It is built once per worker and experiment, from the benchmarks; what does not depend on the
    weights (tasks, requests, tokens) is made then and never again.
    """

    def evaluate(self, model: Any, tokenizer: Any, split: Split) -> tuple[Score, ...]:  # noqa: ANN401 - torch types
        """Returns one score per benchmark, in the benchmarks' order.

        Raises:
            BadScoreError: A score is NaN or infinite.
        """
        ...
