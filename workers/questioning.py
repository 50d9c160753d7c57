"""Questioning: which items a candidate is asked, what is known already, and when it has lost a race.

Knows no model: `ask` puts items to one.  Torch-free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from evaluators import Items, Race, Score, Sheet
from evaluators.conditions import STANDARD
from evaluators.errors import EvaluationError
from evaluators.racing import estimate, standing
from evaluators.scores import mean_score
from workers.messages import Assignment

Ask = Callable[[Items | None], tuple[Score, ...]]
"""Puts items to the model; None stands for all."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a candidate was asked.

    Attributes:
        scores: One per benchmark.
        pruned: It lost its race.
        asked: How many items were put to the model.
    """

    scores: tuple[Score, ...]
    pruned: bool = False
    asked: int = 0


def question(assignment: Assignment, sheets: Sequence[Sheet], ask: Ask) -> Answered:
    """Asks what the assignment wants and nobody knows yet.

    Scores that are no means of their items cannot be put together from parts: then everything is
    asked at once, and there is no race.

    Raises:
        EvaluationError: The race or the items do not fit the benchmarks.
    """
    if assignment.conditions != STANDARD:
        return _moved(sheets, ask)
    if not all(sheet.additive for sheet in sheets) or not (
        assignment.race or assignment.items is not None or assignment.known
    ):
        scores = ask(assignment.items)
        return Answered(scores, asked=_count(assignment.items, sheets))
    wanted = assignment.items or tuple(tuple(range(sheet.size)) for sheet in sheets)
    interview = _Interview(sheets, ask, assignment.known)
    if assignment.race is not None:
        _check_race(assignment.race, wanted)
        return _race(assignment.race, wanted, interview)
    interview.hear(wanted)
    return Answered(interview.scores(wanted, at_once=True), asked=interview.asked)


def _moved(sheets: Sequence[Sheet], ask: Ask) -> Answered:
    """Asks, under other conditions, those benchmarks alone that feel them."""
    items = tuple(tuple(range(sheet.size)) if sheet.moved else () for sheet in sheets)
    return Answered(ask(items) if any(items) else (), asked=sum(map(len, items)))


class _Interview:
    """What one candidate has answered so far, in this assignment or an earlier one."""

    def __init__(self, sheets: Sequence[Sheet], ask: Ask, known: Sequence[Score]) -> None:
        self._sheets, self._ask = sheets, ask
        self.asked = 0
        self._answers: list[dict[int, float]] = [{} for _ in sheets]
        self._like: dict[int, Score] = {}
        for score in known:
            for number, sheet in enumerate(sheets):
                if score.sheet and score.sheet == sheet.fingerprint and score.per_item:
                    self._answers[number].update(score.answers)
                    name = sheet.benchmark or score.benchmark  # another experiment may call it otherwise
                    self._like[number] = replace(score, benchmark=name)

    def hear(self, wanted: Items) -> None:
        """Asks those of the wanted items that are not answered yet."""
        missing = tuple(
            tuple(place for place in places if place not in answers)
            for places, answers in zip(wanted, self._answers, strict=True)
        )
        if not any(missing):
            return
        everything = all(len(m) == s.size for m, s in zip(missing, self._sheets, strict=True))
        heard = iter(self._ask(None if everything else missing))
        for number, places in enumerate(missing):
            if places:
                score = next(heard)
                if len(score.per_item) != len(places):
                    raise EvaluationError(
                        "metric",
                        f"{score.metric} has {len(score.per_item)} values on {len(places)} items",
                        "choose a metric that each item has, or ask without races and rotating items",
                    )
                self._answers[number].update(zip(places, score.per_item, strict=True))
                self._like[number] = score
        self.asked += sum(map(len, missing))

    def scores(self, wanted: Items, *, at_once: bool = False) -> tuple[Score, ...]:
        """Returns the scores over items that were answered.

        Args:
            wanted: The items.
            at_once: No race cut the questions into batches: who answered a whole sheet keeps its margins.
        """
        found = []
        for number, places in enumerate(wanted):
            if places:
                like, answers = self._like[number], self._answers[number]
                chosen = {place: answers[place] for place in places}
                score = mean_score(like, chosen, size=self._sheets[number].size)
                kept = at_once and not score.items
                found.append(replace(score, margins=like.margins) if kept else score)
        return tuple(found)

    def fitness(self, number: int, places: Sequence[int]) -> tuple[float, ...]:
        """Returns one benchmark's answers, larger is better, in the order of the places."""
        answers = self._answers[number]
        sign = 1.0 if self._like[number].higher_is_better else -1.0
        return tuple(sign * answers[place] for place in places)


def _race(race: Race, wanted: Items, interview: _Interview) -> Answered:
    """Asks batch after batch until all are asked or the race is lost."""
    seen: list[list[int]] = [[] for _ in wanted]  # places among the wanted items
    for batch in race.rounds():
        interview.hear(_items(wanted, batch))
        for places, more in zip(seen, batch, strict=True):
            places.extend(more)
        if _complete(seen, wanted):
            break
        fitness = [
            interview.fitness(n, [wanted[n][place] for place in places]) for n, places in enumerate(seen)
        ]
        if standing(race, seen, fitness).lost(race.z):
            scores = interview.scores(_items(wanted, seen))
            return Answered(_estimated(race, seen, scores, fitness), pruned=True, asked=interview.asked)
    return Answered(interview.scores(wanted), asked=interview.asked)


def _estimated(
    race: Race, seen: Sequence[Sequence[int]], scores: Sequence[Score], fitness: Sequence[Sequence[float]]
) -> tuple[Score, ...]:
    found = []
    for number, score in enumerate(scores):
        guess = estimate(race.incumbent[number], seen[number], fitness[number])
        value = guess.value if score.higher_is_better else -guess.value
        found.append(replace(score, value=value, stderr=guess.stderr))
    return tuple(found)


def _items(wanted: Items, places: Sequence[Sequence[int]]) -> Items:
    return tuple(
        tuple(items[place] for place in sorted(chosen)) for items, chosen in zip(wanted, places, strict=True)
    )


def _complete(seen: Sequence[Sequence[int]], wanted: Items) -> bool:
    return all(len(places) == len(items) for places, items in zip(seen, wanted, strict=True))


def _count(items: Items | None, sheets: Sequence[Sheet]) -> int:
    return sum(map(len, items)) if items is not None else sum(sheet.size for sheet in sheets)


def _check_race(race: Race, wanted: Items) -> None:
    sizes = [len(places) for places in wanted]
    if [len(items) for items in race.incumbent] != sizes or len(race.weights) != len(sizes) or 0 in sizes:
        raise EvaluationError(
            "race",
            f"the incumbent answered {[len(items) for items in race.incumbent]} items, {sizes} are asked",
            "race an incumbent that answered the same items",
        )
