"""Asking: the finalists' steps, one after the other, within the examination's budget.

Which models are asked follows from what is stored: scores, and the items and seconds of earlier steps.  So an
examination that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from evaluators import Split
from service.experiment.candidate import Candidate
from service.experiment.examination_budget import ExaminationBudget
from service.experiment.examination_step import Step
from service.experiment.objectives import Objectives
from service.experiment.spec import ExperimentSpec
from service.search.dispatcher import Dispatcher
from service.search.journal import ControlRequest
from service.store.examination_record import ExaminationRecord, foresee, recall_steps
from service.store.journal import DatabaseJournal
from workers.protocol.messages import Failed, Outcome, Workforce


class Asking:
    """One examination's steps, within its budget.

    Attributes:
        spent: The steps that count, in the order in which they are taken.
    """

    def __init__(
        self, journal: DatabaseJournal, workforce: Workforce, spec: ExperimentSpec, objectives: Objectives
    ) -> None:
        self.journal, self.workforce, self.timeout = journal, workforce, spec.evaluation_timeout
        self.budget = ExaminationBudget.of(spec.examination)
        self._benchmarks = tuple(objective.name for objective in objectives)
        self._items = {
            split: sum(objective.items.get(split, 0) for objective in objectives)
            for split in ("search", "selection", "test")
        }
        self.spent: list[Step] = []
        self._steps = recall_steps(journal)

    def record(self, split: Split) -> ExaminationRecord:
        """Returns where steps on a split are written down; its clock begins now."""
        return ExaminationRecord(self.journal, split, items=self.items(split))

    def items(self, split: Split) -> int:
        """Returns how many items a split has, over all objectives."""
        return self._items[split]

    def on(
        self, split: Split, order: Sequence[Candidate], *, always: int, reserved: int = 0
    ) -> dict[int, Outcome] | ControlRequest:
        """Returns the outcomes of those that were asked, by number, or the request that came in between.

        Args:
            split: Which.
            order: The candidates, those first that are asked first.
            always: How many of them are asked whatever the budget.
            reserved: Items to be asked afterwards in any case.
        """
        outcomes: dict[int, Outcome] = {}
        for batch in self._batches(order):
            known = self._known(split, batch)
            must = {one.number for one in order[:always]}
            due = self._due(split, batch, known, must=must, reserved=reserved)
            dispatcher = Dispatcher(
                self.workforce,
                self.record(split),
                timeout=self.timeout,
                split=split,
                benchmarks=self._benchmarks,
            )
            settled = dispatcher.settle(due, known)
            if isinstance(settled, ControlRequest):
                return settled
            outcomes |= settled
            self._count(split, due)
        return outcomes

    def allows(self, split: Split, *, reserved: int = 0) -> bool:
        """Says whether one more model may be asked a split."""
        return self.budget.allows(self.spent, self.items(split), reserved=reserved)

    def foresee(self, *groups: tuple[int, Split]) -> None:
        """Notes how much is left at most: how many models on which split, in order."""
        left = [(count, self.items(split)) for count, split in groups]
        foresee(self.journal, *self.budget.planned(self.spent, left))

    def count(self, key: tuple[int, Split, str]) -> None:
        """Takes in that a step is over."""
        if key not in self._steps:
            self._steps = recall_steps(self.journal)
        if (step := self._steps.get(key)) is not None:
            self.spent.append(step)

    def _count(self, split: Split, asked: Sequence[Candidate]) -> None:
        keys = [(one.number, split, "") for one in asked]
        if any(key not in self._steps for key in keys):
            self._steps = recall_steps(self.journal)
        self.spent += [self._steps[key] for key in keys if key in self._steps]

    def _batches(self, order: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
        """Yields those that are asked side by side: time is looked at in between."""
        size = len(order) if self.budget.seconds is None else max(self.workforce.slots, 1)
        for start in range(0, len(order), max(size, 1)):
            yield order[start : start + size]

    def _due(
        self,
        split: Split,
        batch: Sequence[Candidate],
        known: Mapping[int, Outcome],
        *,
        must: Collection[int],
        reserved: int,
    ) -> list[Candidate]:
        """Returns those to be asked; what was stored by an earlier examination costs nothing."""
        due: list[Candidate] = []
        pending = 0
        for one in batch:
            stored = one.number in known
            is_free = stored and (one.number, split, "") not in self._steps
            cost = 0 if is_free else self.items(split)
            allowed = self.budget.allows(self.spent, pending + cost, reserved=reserved)
            if stored or one.number in must or allowed:
                due.append(one)
                pending += cost
        return due

    def _known(self, split: Split, batch: Sequence[Candidate]) -> dict[int, Outcome]:
        """Returns what is stored of these, failures too."""
        numbers = {one.number for one in batch}
        known = {n: outcome for n, outcome in self.journal.recall_split(split).items() if n in numbers}
        for one in batch:
            step = self._steps.get((one.number, split, ""))
            if step is not None and step.failure is not None:
                known[one.number] = Failed(one.id, 1, step.failure)
        return known
