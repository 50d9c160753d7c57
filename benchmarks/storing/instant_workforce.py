"""Workers that answer at once: what is left is the controller's own work."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from evaluators import Score
from search_spaces import Recipe
from workers.protocol.messages import Assignment, Outcome, Scored
from workers.protocol.sole_workforce import SoleWorkforce

ITEMS = 50


class InstantWorkforce(SoleWorkforce):
    """Scores recipes by their numbers, as soon as they are handed out.

    Attributes:
        slots: How many assignments may be out at once.
    """

    def __init__(self, slots: int, objectives: Sequence[str]) -> None:
        self.slots, self.objectives = slots, tuple(objectives)
        self._outcomes: deque[Outcome] = deque()

    def submit(self, assignment: Assignment) -> None:
        """Scores the assignment; the answer waits to be fetched."""
        scores = tuple(score_of(assignment.recipe, name, place) for place, name in enumerate(self.objectives))
        self._outcomes.append(
            Scored(assignment.candidate, assignment.attempt, scores, 0.0, 0.0, f"worker {assignment.number}")
        )

    def next_outcome(self, timeout: float) -> Outcome | None:  # noqa: ARG002
        """Returns the next answer, if one is there."""
        return self._outcomes.popleft() if self._outcomes else None

    def drop(self) -> None:
        """Forgets the answers."""
        self._outcomes.clear()


def score_of(recipe: Recipe, name: str, place: int) -> Score:
    """Returns a share of right answers: the nearer a recipe's numbers are to 0.8, the more."""
    numbers = [
        value
        for part in recipe.slices
        for source in part.sources
        for parameter in source.parameters.values()
        for value in (setting.value for setting in parameter)
        if isinstance(value, float)
    ]
    distance = sum((value - 0.8 - 0.1 * place) ** 2 for value in numbers) / max(len(numbers), 1)
    right = round(max(1.0 - distance, 0.0) * ITEMS)
    value = right / ITEMS
    stderr = (value * (1 - value) / ITEMS) ** 0.5
    return Score(name, "acc,none", value, stderr, True, (1.0,) * right + (0.0,) * (ITEMS - right))
