"""How far a model from a local folder prefers answers to others: those of a file or task, or a parent's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError
from evaluators.fingerprints.values import unrepeatable_mark
from evaluators.judges.local_judge import LocalJudge, Pair
from evaluators.judges.verdicts import Verdicts
from evaluators.splits import Split

METRIC = "preferred"
_ROWS = 16  # of a pass of the judge, which may be much larger than the models that it judges


class Preference:
    """A judge of answers, whose weights are loaded when the first pair has no verdict yet.

    Args:
        benchmark: With the judge's folder, its rubric, and perhaps the parent that is compared with.

    Attributes:
        parent: Whose answers others are compared with; None compares with references.

    Raises:
        EvaluationError: There is no such model.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        self._judge = LocalJudge(Path(benchmark.judge or ""), benchmark.rubric)
        self.parent = benchmark.parent
        self._parents: dict[Split, tuple[str, ...]] = {}

    def waits_for(self, split: Split) -> str | None:
        """Returns the parent whose answers are still needed."""
        return None if split in self._parents else self.parent

    def refer(self, split: Split, answers: Sequence[str]) -> None:
        """Takes in what the parent answers to all items of a split."""
        self._parents[split] = tuple(answers)

    def others(self, split: Split, references: Sequence[str]) -> Sequence[str]:
        """Returns what each item's answer is compared with.

        Raises:
            EvaluationError: The parent's answers are not known.
        """
        if self.parent is None:
            return references
        if split not in self._parents:
            detail = f"there are no answers of {self.parent} to compare others with"
            raise EvaluationError("parent", detail, "name one of the experiment's parents")
        return self._parents[split]

    def marking(self, split: Split, references: Sequence[str]) -> str:
        """Returns a hash of the judge's files, its rubric and what is compared with."""
        if self.waits_for(split) is not None:
            return unrepeatable_mark()
        given = self._parents[split] if self.parent is not None else references
        content = repr((self._judge.fingerprint, self.parent is None, given))
        return hashlib.sha256(content.encode()).hexdigest()

    def of(self, pairs: Sequence[Pair], device: torch.device) -> list[float]:
        """Returns a verdict per pair; one that was given before is not asked for again."""
        verdicts = Verdicts(self._judge.fingerprint)
        return verdicts.of(pairs, lambda new: self._judge.compare(new, device=device, batch_size=_ROWS))
