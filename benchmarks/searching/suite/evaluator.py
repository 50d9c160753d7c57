"""The evaluator that all contestants share: the product's worker in this process, asked each model once."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from time import perf_counter
from uuid import UUID, uuid4

from benchmarks.searching.suite.evaluation_cache import EvaluationCache
from evaluators import Split
from search_spaces import Recipe
from workers.pools.inline_pool import InlinePool
from workers.protocol.messages import (
    Assignment,
    Interrupted,
    Job,
    JobResult,
    Outcome,
    Scored,
    Workload,
    never,
)
from workers.protocol.outcomes import key_of
from workers.protocol.sole_workforce import SoleWorkforce

_PATIENCE = 600.0  # seconds for one evaluation of milliseconds


class Evaluator(SoleWorkforce):
    """A workforce of one that looks its answers up before it works.

    Attributes:
        seconds: Spent in here so far: what is left of a search's time is its optimizer's.
    """

    in_process = True

    def __init__(self, file: Path) -> None:
        self._pool, self._cache = InlinePool(threads=1), EvaluationCache(file)
        self._ready: deque[Outcome] = deque()
        self._keys: dict[tuple[UUID, int], str | None] = {}
        self.seconds = 0.0

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Readies the worker."""
        self._cache.prepare(workload)
        self._pool.prepare(workload, interrupted)

    def claim(self, wanted: int) -> int:
        """One, for whatever there is to do."""
        return min(wanted, 1)

    def submit(self, assignment: Assignment) -> None:
        """Answers from the file, or queues the assignment."""
        began = perf_counter()
        key = self._cache.key(assignment)
        known = None if key is None else self._cache.get(key, assignment)
        if known is not None:
            self._ready.append(known)
        else:
            self._keys[key_of(assignment)] = key
            self._pool.submit(assignment)
        self.seconds += perf_counter() - began

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Returns the next answer."""
        if self._ready:
            return self._ready.popleft()
        began = perf_counter()
        outcome = self._pool.next_outcome(timeout)
        if outcome is not None:
            key = self._keys.pop(key_of(outcome), None)
            if key is not None and isinstance(outcome, Scored):
                self._cache.put(key, outcome)
        self.seconds += perf_counter() - began
        return outcome

    def ask(self, recipe: Recipe, split: Split) -> Outcome:
        """Returns what a model answers to all items of a split.

        Raises:
            TimeoutError: No answer came.
        """
        self.submit(Assignment(candidate=uuid4(), number=0, recipe=recipe, split=split))
        outcome = self.next_outcome(_PATIENCE)
        if outcome is None:
            raise TimeoutError(f"no answer on the {split} split within {_PATIENCE:g} s; look at the machine")
        return outcome

    def drop(self) -> None:
        """Forgets all assignments."""
        self._ready.clear()
        self._pool.drop()

    def release(self) -> None:
        """Forgets all assignments."""
        self.drop()

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Has the worker do a job."""
        return self._pool.run_job(job, interrupted)

    def close(self) -> None:
        """Ends the worker."""
        self._pool.close()
        self._cache.close()
