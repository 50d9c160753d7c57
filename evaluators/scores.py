"""Score: one benchmark's result, with its standard error and its items."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
        item_indices: Which items of the split those are; () where all were asked.
        item_set: The fingerprint of what was asked (see `evaluators.item_set.ItemSet`); "" where it is
            not known.
        notes: What happened while asking, as counts of items by name, zeros left out: `truncated`
            (the answer reached its greatest length), `unextracted` (no answer was found in it),
            `overlong` (the prompt was longer than the model reads, and lost its beginning).
        margins: By how much each item's best right answer is likelier than its best wrong one, in nats
            (divided by length where the metric does so), to float32: positive where the item is right.
            Of generated answers that are compared with one short reference, the least lead of any of its
            tokens over all others.
            Only where larger values are better and all of the split's items were asked at once, in the
            split's order; () where it is not known.
    """

    benchmark: str
    metric: str
    value: float
    stderr: float
    higher_is_better: bool
    per_item: tuple[float, ...] = ()
    item_indices: tuple[int, ...] = ()
    item_set: str = ""
    notes: tuple[tuple[str, int], ...] = ()
    margins: tuple[float, ...] = ()

    @property
    def sign(self) -> float:
        """What makes of the metric's values something of which larger is always better."""
        return sign_of(higher_is_better=self.higher_is_better)

    @property
    def fitness(self) -> float:
        """The value with its sign applied: larger is always better."""
        return self.sign * self.value

    @property
    def item_fitness(self) -> tuple[float, ...]:
        """`per_item` with the sign applied: larger is always better."""
        if self.higher_is_better:
            return self.per_item
        return tuple(-value for value in self.per_item)

    @property
    def fitness_by_index(self) -> dict[int, float]:
        """`answers` with the sign applied."""
        return dict(zip(self.answers, self.item_fitness, strict=True))

    def with_fitness(self, fitness: float, *, stderr: float | None = None) -> Score:
        """Returns the score with the value of a fitness, and another standard error where one is given."""
        return replace(self, value=self.sign * fitness, stderr=self.stderr if stderr is None else stderr)

    @property
    def answers(self) -> dict[int, float]:
        """The metric on each item that was asked, by the item's index in the split."""
        return dict(zip(self.item_indices or range(len(self.per_item)), self.per_item, strict=True))

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


def sign_of(*, higher_is_better: bool) -> float:
    """Returns 1 where larger values are better, -1 where smaller ones are."""
    return 1.0 if higher_is_better else -1.0


def mean_score(like: Score, answers: Mapping[int, float], *, size: int) -> Score:
    """Returns the score of a benchmark whose metric is a mean, from its items' values.

    It has no margins: they cannot be known from answers put together.

    Args:
        like: A score of the same benchmark on the same split.
        answers: The metric by the item's index in the split; at least one.
        size: How many items the split has.
    """
    indices = tuple(sorted(answers))
    per_item = tuple(answers[index] for index in indices)
    count = len(per_item)
    value = sum(per_item) / count
    spread = sum((one - value) ** 2 for one in per_item)
    stderr = math.sqrt(spread / (count - 1) / count) if count > 1 else 0.0
    asked = () if indices == tuple(range(size)) else indices
    return replace(like, value=value, stderr=stderr, per_item=per_item, item_indices=asked, margins=())


def united_score(one: Score, other: Score) -> Score:
    """Returns the score of a benchmark whose metric is a mean, from two askings of different items.

    Scores of candidates that were asked everything stay as they are.
    """
    if not (one.item_indices and other.item_indices):
        return one if not one.item_indices else other
    answers = one.answers | other.answers
    # A part is told from the whole by its indices: so many answers may be all, and keep them.
    return mean_score(one, answers, size=len(answers) + 1)
