"""How good a model is.  Importing the package imports neither torch nor lm-eval."""

from __future__ import annotations

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError
from evaluators.evaluator import BenchmarkFacts, Evaluator
from evaluators.item_set import ItemIndices, ItemSet
from evaluators.sampling.racing import Race
from evaluators.scores import Score
from evaluators.splits import SPLITS, ItemShares, NamedSplits, Split

__all__ = [
    "SPLITS",
    "Benchmark",
    "BenchmarkFacts",
    "EvaluationError",
    "Evaluator",
    "ItemIndices",
    "ItemSet",
    "ItemShares",
    "NamedSplits",
    "Race",
    "Score",
    "Split",
]
