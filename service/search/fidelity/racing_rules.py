"""RaceRule: whom a candidate races on the items that both answer, and when it has lost."""

from __future__ import annotations

from dataclasses import dataclass

from evaluators import Race
from service.experiment.spec import Racing
from workers.protocol.messages import Outcome, Scored


@dataclass(frozen=True, slots=True)
class RaceRule:
    """How candidates race the best one so far on the same items.

    With several objectives one has lost when it lies behind in each of them.

    Attributes:
        options: The spec's: items between two looks, and by how much a candidate must lie behind.
        weights: The objectives' weights in the difference.
        seed: Of the order of the items.
    """

    options: Racing
    weights: tuple[float, ...]
    seed: int = 0

    def against(self, outcome: Outcome | None, *, part: bool = False) -> Race | None:
        """Returns the race against a candidate, if it was asked all items and kept its answers.

        Args:
            outcome: The candidate's.
            part: Its scores hold the items that are raced on, and no others; they need not be all.
        """
        if not isinstance(outcome, Scored) or outcome.pruned:
            return None
        if any((score.item_indices and not part) or not score.per_item for score in outcome.scores):
            return None
        answers = tuple(score.item_fitness for score in outcome.scores)
        return Race(
            answers,
            self.weights,
            batch=self.options.batch,
            z=self.options.z,
            seed=self.seed,
            everywhere=len(self.weights) > 1,
        )
