"""What an examination may cost: items, and seconds that count over all resumes.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.experiment.examination_step import Step
from service.experiment.spec import Examination


@dataclass(frozen=True, slots=True)
class ExaminationBudget:
    """How many items an examination may ask, and for how long; None does not limit it."""

    items: int | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, spec: Examination) -> ExaminationBudget:
        """Returns the budget that a spec gives."""
        minutes = spec.max_minutes
        return cls(spec.max_items, None if minutes is None else 60.0 * minutes)

    def allows(self, spent: Sequence[Step], items: int, *, reserved: int = 0) -> bool:
        """Says whether so many further items may be asked.

        Time is foreseen at the rate of the steps so far.

        Args:
            spent: All steps so far.
            items: What would be asked now.
            reserved: What must be asked afterwards in any case.
        """
        asked, wanted = sum(step.items for step in spent), items + reserved
        if self.items is not None and asked + wanted > self.items:
            return False
        if self.seconds is None:
            return True
        took = sum(step.seconds for step in spent)
        return took + (took / asked * wanted if asked else 0.0) <= self.seconds

    def planned(self, spent: Sequence[Step], groups: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Returns how many steps and items there will be at most.

        Args:
            spent: All steps so far.
            groups: What is left, in order: how many steps of how many items each.
        """
        steps, items = len(spent), sum(step.items for step in spent)
        for count, each in groups:
            room = count if self.items is None else max(self.items - items, 0) // max(each, 1)
            steps += min(count, room)
            items += min(count, room) * each
        return steps, items
