"""How far a model from a local folder prefers answers to the references of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluators.benchmark import Benchmark
from evaluators.inference.language_model import InMemoryModel
from evaluators.judges.item_files import references_of
from evaluators.judges.local_judge import LocalJudge, Pair
from evaluators.judges.verdicts import Verdicts

_ROWS = 16  # of a pass of the judge, which may be much larger than the models that it judges


def preference(benchmark: Benchmark) -> Callable[[Sequence[str], Sequence[str], InMemoryModel], list[float]]:
    """Returns a judge of answers, whose weights are loaded when the first answer has no verdict yet.

    Raises:
        EvaluationError: There is no such model, or a prompt has no reference.
    """
    judge, references = LocalJudge(Path(benchmark.judge or ""), benchmark.rubric), references_of(benchmark)

    def judged(prompts: Sequence[str], answers: Sequence[str], asked: InMemoryModel) -> list[float]:
        pairs = [Pair(*one, references[one[0]]) for one in zip(prompts, answers, strict=True)]
        device = asked.network.device
        verdicts = Verdicts(judge.fingerprint)
        return verdicts.of(pairs, lambda new: judge.compare(new, device=device, batch_size=_ROWS))

    return judged


def preference_marking(benchmark: Benchmark) -> str:
    """Returns a hash of the judge's files, its rubric and the references."""
    judge = LocalJudge(Path(benchmark.judge or ""), benchmark.rubric)
    content = repr((judge.fingerprint, sorted(references_of(benchmark).items())))
    return hashlib.sha256(content.encode()).hexdigest()
