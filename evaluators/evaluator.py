"""What an evaluator is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from evaluators.conditions import STANDARD, Conditions
from evaluators.item_set import ItemIndices, ItemSet
from evaluators.scores import Score
from evaluators.splits import Split


@dataclass(frozen=True, slots=True)
class BenchmarkFacts:
    """What an evaluator found out about a benchmark before any model is loaded.

    Attributes:
        items: Number of items per split.
        metrics: The task's metrics, the chosen one first.
        higher_is_better: Of the chosen metric.
        overlap: Share of the test items that have a long passage in common with a search item; None
            where items have no texts.
        warnings: What a reader of a score of this benchmark must know.
        additive: The score is the mean over its items, so that it can be put together from parts.
        prompts: Per model with a tokenizer of its own: its name, and how it is asked, in words.
    """

    name: str
    items: dict[Split, int]
    metrics: tuple[str, ...]
    higher_is_better: bool
    overlap: float | None = None
    warnings: tuple[str, ...] = ()
    additive: bool = True
    prompts: tuple[tuple[str, str], ...] = ()


class Evaluator(Protocol):
    """Scores a model that lies in memory.  Knows nothing of recipes, parents or Ray.

    It is built once per worker and experiment, from the benchmarks; what does not depend on the
    weights (tasks, requests, tokens) is made then and never again.
    """

    def evaluate(
        self,
        model: Any,  # noqa: ANN401 - torch types
        tokenizer: Any,  # noqa: ANN401
        split: Split,
        items: ItemIndices | None = None,
        conditions: Conditions = STANDARD,
    ) -> tuple[Score, ...]:
        """Returns one score per benchmark, in the benchmarks' order.

        Args:
            model: What is scored.
            tokenizer: The model's.
            split: Whose items are asked.
            items: Per benchmark, the indices of the items to ask, growing; None asks all.  A benchmark
                of which none is wanted has no score in the answer.
            conditions: Under which the items are put.

        Raises:
            BadScoreError: A score is NaN or infinite.
        """
        ...

    def item_sets(
        self,
        split: Split,
        conditions: Conditions = STANDARD,
        tokenizer: Any = None,  # noqa: ANN401
    ) -> tuple[ItemSet, ...]:
        """Returns what each benchmark asks on a split, of models with this tokenizer."""
        ...


@runtime_checkable
class Comparer(Protocol):
    """An evaluator that compares with parents, and must be shown them."""

    def references(self, split: Split) -> tuple[str, ...]:
        """Returns the parents whose answers are still needed."""
        ...

    def refer(self, parent: str, split: Split, model: Any, tokenizer: Any) -> None:  # noqa: ANN401 - torch types
        """Takes in what a parent answers."""
        ...
