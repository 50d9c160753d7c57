"""Item evaluation: which items a candidate is asked, what is known already, and when it has lost a race.

Knows no model: `ask` puts items to one.  Torch-free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from evaluators import ItemIndices, ItemSet, Race, Score
from evaluators.conditions import STANDARD
from evaluators.errors import EvaluationError
from evaluators.sampling.racing import estimate, has_lost
from evaluators.scores import mean_score
from workers.protocol.messages import Assignment

Ask = Callable[[ItemIndices | None], tuple[Score, ...]]
"""Puts items to the model; None stands for all."""


@dataclass(frozen=True, slots=True)
class ItemEvaluation:
    """What a candidate was asked.

    Attributes:
        scores: One per benchmark.
        pruned: It lost its race.
        asked: How many items were put to the model.
    """

    scores: tuple[Score, ...]
    pruned: bool = False
    asked: int = 0


def evaluate_items(assignment: Assignment, item_sets: Sequence[ItemSet], ask: Ask) -> ItemEvaluation:
    """Asks what the assignment wants and is not known yet.

    Scores that are no means of their items cannot be put together from parts: then everything is
    asked at once, and there is no race.

    Raises:
        EvaluationError: The race or the items do not fit the benchmarks.
    """
    if assignment.conditions != STANDARD:
        return _moved(item_sets, ask)
    if not all(item_set.additive for item_set in item_sets) or not (
        assignment.race or assignment.items is not None or assignment.known
    ):
        scores = ask(assignment.items)
        return ItemEvaluation(scores, asked=_count(assignment.items, item_sets))
    wanted = assignment.items or tuple(tuple(range(item_set.size)) for item_set in item_sets)
    answered = _Answers(item_sets, ask, assignment.known)
    if assignment.race is not None:
        _check_race(assignment.race, wanted)
        return _race(assignment.race, wanted, answered)
    answered.ask(wanted)
    return ItemEvaluation(answered.scores(wanted, at_once=True), asked=answered.asked)


def _moved(item_sets: Sequence[ItemSet], ask: Ask) -> ItemEvaluation:
    """Asks, under other conditions, those benchmarks alone that feel them."""
    items = tuple(tuple(range(item_set.size)) if item_set.moved else () for item_set in item_sets)
    return ItemEvaluation(ask(items) if any(items) else (), asked=sum(map(len, items)))


class _Answers:
    """What one candidate has answered so far, in this assignment or an earlier one."""

    def __init__(self, item_sets: Sequence[ItemSet], ask: Ask, known: Sequence[Score]) -> None:
        self._item_sets, self._ask = item_sets, ask
        self.asked = 0
        self._answers: list[dict[int, float]] = [{} for _ in item_sets]
        self._like: dict[int, Score] = {}
        for score in known:
            for number, item_set in enumerate(item_sets):
                if score.item_set and score.item_set == item_set.fingerprint and score.per_item:
                    self._answers[number].update(score.answers)
                    name = item_set.benchmark or score.benchmark  # another experiment may call it otherwise
                    self._like[number] = replace(score, benchmark=name)

    def ask(self, wanted: ItemIndices) -> None:
        """Asks those of the wanted items that are not answered yet."""
        missing = tuple(
            tuple(index for index in indices if index not in answers)
            for indices, answers in zip(wanted, self._answers, strict=True)
        )
        if not any(missing):
            return
        everything = all(len(m) == s.size for m, s in zip(missing, self._item_sets, strict=True))
        scored = iter(self._ask(None if everything else missing))
        for number, indices in enumerate(missing):
            if indices:
                score = next(scored)
                if len(score.per_item) != len(indices):
                    raise EvaluationError(
                        "metric",
                        f"{score.metric} has {len(score.per_item)} values on {len(indices)} items",
                        "choose a metric that each item has, or ask without races and rotating items",
                    )
                self._answers[number].update(zip(indices, score.per_item, strict=True))
                self._like[number] = score
        self.asked += sum(map(len, missing))

    def scores(self, wanted: ItemIndices, *, at_once: bool = False) -> tuple[Score, ...]:
        """Returns the scores over items that were answered.

        Args:
            wanted: The items.
            at_once: No race cut the questions into batches: whole item sets keep their margins.
        """
        found = []
        for number, indices in enumerate(wanted):
            if indices:
                like, answers = self._like[number], self._answers[number]
                chosen = {index: answers[index] for index in indices}
                score = mean_score(like, chosen, size=self._item_sets[number].size)
                kept = at_once and not score.item_indices
                found.append(replace(score, margins=like.margins) if kept else score)
        return tuple(found)

    def fitness(self, number: int, indices: Sequence[int]) -> tuple[float, ...]:
        """Returns one benchmark's answers, larger is better, in the order of the indices."""
        answers, sign = self._answers[number], self._like[number].sign
        return tuple(sign * answers[index] for index in indices)


def _race(race: Race, wanted: ItemIndices, answered: _Answers) -> ItemEvaluation:
    """Asks batch after batch until all are asked or the race is lost."""
    seen: list[list[int]] = [[] for _ in wanted]  # indices among the wanted items
    for batch in race.rounds():
        answered.ask(_items(wanted, batch))
        for indices, more in zip(seen, batch, strict=True):
            indices.extend(more)
        if _complete(seen, wanted):
            break
        fitness = [
            answered.fitness(n, [wanted[n][index] for index in indices]) for n, indices in enumerate(seen)
        ]
        if has_lost(race, seen, fitness):
            scores = answered.scores(_items(wanted, seen))
            return ItemEvaluation(_estimated(race, seen, scores, fitness), pruned=True, asked=answered.asked)
    return ItemEvaluation(answered.scores(wanted), asked=answered.asked)


def _estimated(
    race: Race, seen: Sequence[Sequence[int]], scores: Sequence[Score], fitness: Sequence[Sequence[float]]
) -> tuple[Score, ...]:
    found = []
    for number, score in enumerate(scores):
        guess = estimate(race.incumbent[number], seen[number], fitness[number])
        found.append(score.with_fitness(guess.value, stderr=guess.stderr))
    return tuple(found)


def _items(wanted: ItemIndices, indices: Sequence[Sequence[int]]) -> ItemIndices:
    return tuple(
        tuple(items[index] for index in sorted(chosen)) for items, chosen in zip(wanted, indices, strict=True)
    )


def _complete(seen: Sequence[Sequence[int]], wanted: ItemIndices) -> bool:
    return all(len(indices) == len(items) for indices, items in zip(seen, wanted, strict=True))


def _count(items: ItemIndices | None, item_sets: Sequence[ItemSet]) -> int:
    return sum(map(len, items)) if items is not None else sum(item_set.size for item_set in item_sets)


def _check_race(race: Race, wanted: ItemIndices) -> None:
    sizes = [len(indices) for indices in wanted]
    if [len(items) for items in race.incumbent] != sizes or len(race.weights) != len(sizes) or 0 in sizes:
        raise EvaluationError(
            "race",
            f"the incumbent answered {[len(items) for items in race.incumbent]} items, {sizes} are asked",
            "race an incumbent that answered the same items",
        )
