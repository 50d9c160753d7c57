"""Successive halving: a generation that climbs rung by rung, and leaves its weaker part behind on each.

All answer the same few items, the better part of them answers more, and so on: successive halving
(`evaluators.sampling.successive_halving`).  Only how a candidate ends is written down: after a crash, a
generation that was under way begins at the first rung again, where equal answers lead to the same end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluators import ItemIndices
from evaluators.sampling.successive_halving import HalvingSchedule
from service.experiment.spec import Halving as HalvingOptions
from service.search.dispatcher import Dispatcher, EvaluationRequest
from workers.protocol.messages import Failed, Outcome, Scored


@dataclass(frozen=True, slots=True)
class HalvingRule:
    """How a generation is halved.

    Attributes:
        options: The spec's: items on the first rung, and how fast they grow and candidates shrink.
        sizes: How many items each benchmark has.
        weights: The objectives' weights in what candidates are compared by.
        seed: Of the order of the items.
    """

    options: HalvingOptions
    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int = 0

    @property
    def rule(self) -> HalvingSchedule:
        """The algorithm's own parameters."""
        return HalvingSchedule(self.options.first, self.options.eta, self.seed)

    def rungs(self, items: ItemIndices | None) -> list[ItemIndices]:
        """Returns the indices asked up to each rung, of all items or of a generation's part."""
        whole = items or tuple(tuple(range(size)) for size in self.sizes)
        found = self.rule.rungs([len(indices) for indices in whole])
        return [
            tuple(tuple(whole[n][index] for index in chosen) for n, chosen in enumerate(rung))
            for rung in found
        ]


class SuccessiveHalving:
    """One generation on its way up.

    Args:
        rule: How it is halved.
        items: The generation's; None stands for all.
        dispatcher: Who has them asked.
    """

    def __init__(self, rule: HalvingRule, items: ItemIndices | None, dispatcher: Dispatcher) -> None:
        self.rule, self.dispatcher = rule, dispatcher
        self.rungs = rule.rungs(items)
        self._items = items
        self._level = 0
        self._climbing: list[int] = []
        self._requests: dict[int, EvaluationRequest] = {}
        self._asked: dict[int, int] = {}  # the highest rung that a candidate was sent to

    def admit(self, number: int, request: EvaluationRequest | None = None) -> None:
        """Takes a candidate in, with its order where it has not ended yet."""
        self._climbing.append(number)
        if request is not None:
            self._requests[number] = request

    def climb(self) -> None:
        """Sends the survivors to the next rung, once all candidates have answered on this one."""
        while True:
            self._climbing = [n for n in self._climbing if not isinstance(self._outcome_of(n), Failed)]
            missing = [n for n in self._climbing if not self._answered(n)]
            for number in missing:
                self._send(number)
            if missing or self._level == len(self.rungs) - 1:
                return
            survivors = set(self.rule.rule.survivors(self._fitness(self._level)))
            for number in self._climbing:
                if number not in survivors and number in self.dispatcher.interim:
                    self.dispatcher.conclude(number)
            self._climbing = [number for number in self._climbing if number in survivors]
            self._level += 1

    def estimated(self, loser: Scored, values: Sequence[Scored], numbers: Sequence[int]) -> Scored:
        """Estimates the scores of one that was left behind, by its distance to the finalists.

        Its distance to them on the items it was asked is far less noisy than its own mean over those.

        Args:
            loser: Its outcome, with its answers.
            values: The finalists' scores on all items.
            numbers: The finalists' candidate numbers.
        """
        if not values:
            return loser
        scores = []
        for index, own in enumerate(loser.scores):
            asked = list(own.answers)
            rivals = [_mean(self._on(number, index, asked)) for number in numbers]
            top = sum(outcome.scores[index].fitness for outcome in values) / len(values)
            fitness = top + _mean(own.item_fitness) - _mean(rivals)
            scores.append(own.with_fitness(fitness))
        return replace(loser, scores=tuple(scores))

    def _send(self, number: int) -> None:
        if self._asked.get(number, -1) == self._level:
            return
        self._asked[number] = self._level
        top = self._level == len(self.rungs) - 1
        request = self._requests[number]
        if number in self.dispatcher.interim:
            before, outcome = self.dispatcher.interim[number]
            request = replace(before, known=outcome.scores)
        self.dispatcher.add(
            replace(request, items=self._items if top else self.rungs[self._level], interim=not top)
        )

    def _outcome_of(self, number: int) -> Outcome | None:
        if number in self.dispatcher.outcomes:
            return self.dispatcher.outcomes[number]
        return self.dispatcher.interim[number][1] if number in self.dispatcher.interim else None

    def _answered(self, number: int) -> bool:
        outcome = self._outcome_of(number)
        if not isinstance(outcome, Scored):
            return False
        wanted = zip(outcome.scores, self.rungs[self._level], strict=True)
        return all(score.answers.keys() >= set(indices) for score, indices in wanted)

    def _fitness(self, level: int) -> dict[int, float]:
        """Returns the weighted mean over the objectives of what each climber scored up to a rung."""
        parts = list(enumerate(zip(self.rule.weights, self.rungs[level], strict=True)))
        total = sum(self.rule.weights)
        return {
            number: sum(weight * _mean(self._on(number, n, indices)) for n, (weight, indices) in parts)
            / total
            for number in self._climbing
        }

    def _on(self, number: int, benchmark: int, indices: Sequence[int]) -> list[float]:
        outcome = self._outcome_of(number)
        answers = outcome.scores[benchmark].fitness_by_index if isinstance(outcome, Scored) else {}
        return [answers[index] for index in indices]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
