"""Pipeline: assignment -> merge -> evaluate -> outcome.  Plain: no Ray, no database."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import torch

from evaluators import ItemIndices, Score
from evaluators.conditions import STANDARD
from evaluators.errors import BadScoreError
from evaluators.evaluator import Comparer
from workers.protocol.messages import Assignment, Failed, Outcome, Scored, Workload
from workers.protocol.outcomes import key_of
from workers.runtime.candidate_failure import failure_of
from workers.runtime.in_place_merger import InPlaceMerger
from workers.runtime.item_evaluation import ItemEvaluation, evaluate_items
from workers.runtime.preparation import prepare_workload
from workers.runtime.references import show_references
from workers.runtime.resident_parents import ResidentParents


class Pipeline:
    """One experiment's parents, benchmarks and live models, ready to score its candidates.

    What does not depend on the candidate (parents, tasks, tokens, networks) is made once.

    Raises:
        PreparationError: A parent or a benchmark is unusable.
    """

    def __init__(
        self, workload: Workload, *, name: str = "worker", resident: ResidentParents | None = None
    ) -> None:
        self.name, self.workload = name, workload
        self._prepared = prepare_workload(workload, resident)
        self._merger = InPlaceMerger(self._prepared)

    @property
    def device(self) -> str:
        """A device of torch."""
        return self._prepared.device

    @property
    def placement(self) -> str:
        """Where the parents lie, in a sentence."""
        return str(self._prepared.parents.placement)

    def run(self, assignment: Assignment) -> Outcome:
        """Merges and scores one candidate.  Never raises: what went wrong is in the outcome."""
        try:
            return self._score(assignment)
        except Exception as error:  # noqa: BLE001 - the border: whatever a candidate breaks, the worker goes on
            return Failed(*key_of(assignment), failure_of(error), self.name)

    def close(self) -> None:
        """Lets the parents and the models go."""
        self.let_go().close()

    def let_go(self) -> ResidentParents:
        """Lets all go but the parents, which are returned."""
        parents = self._prepared.let_go()
        self._merger.close()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        return parents

    def _score(self, assignment: Assignment) -> Scored:
        started = perf_counter()
        if isinstance(self._prepared.evaluator, Comparer):
            show_references(self._prepared.evaluator, assignment, self.workload.parents, self._merger)
        model, tokenizer = self._merger.merge(assignment.recipe)
        merged = perf_counter()
        with torch.inference_mode():
            evaluated = self._evaluate(assignment, model, tokenizer)
        self._check(evaluated.scores, partly=assignment.conditions != STANDARD)
        return Scored(
            *key_of(assignment),
            scores=evaluated.scores,
            merge_seconds=merged - started,
            evaluate_seconds=perf_counter() - merged,
            worker=self.name,
            pruned=evaluated.pruned,
            asked=evaluated.asked,
        )

    def _evaluate(self, assignment: Assignment, model: object, tokenizer: object) -> ItemEvaluation:
        split, conditions, evaluator = assignment.split, assignment.conditions, self._prepared.evaluator
        mark = self._prepared.engine.mark if self._prepared.engine is not None else str
        item_sets = tuple(
            replace(item_set, fingerprint=mark(item_set.fingerprint))
            for item_set in evaluator.item_sets(split, conditions, tokenizer)
        )

        def ask(items: ItemIndices | None) -> tuple[Score, ...]:
            found = evaluator.evaluate(model, tokenizer, split, items, conditions)
            return tuple(replace(score, item_set=mark(score.item_set)) for score in found)

        return evaluate_items(assignment, item_sets, ask)

    def _check(self, scores: tuple[Score, ...], *, partly: bool) -> None:
        for score in scores:
            score.check()
        asked = [benchmark.name for benchmark in self.workload.benchmarks]
        got = [score.benchmark for score in scores]
        if got != [name for name in asked if not partly or name in got]:
            raise BadScoreError("benchmark", f"{asked} were asked, {got} answered", "correct the evaluator")
