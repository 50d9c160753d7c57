"""How good a model is.  Importing the package imports neither torch nor lm-eval."""

from __future__ import annotations

from evaluators.base import BenchmarkFacts, Evaluator, Sheet
from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError
from evaluators.racing import Items, Race
from evaluators.scores import Score
from evaluators.splits import SPLITS, ItemShares, NamedSplits, Split

__all__ = [
    "SPLITS",
    "Benchmark",
    "BenchmarkFacts",
    "EvaluationError",
    "Evaluator",
    "ItemShares",
    "Items",
    "NamedSplits",
    "Race",
    "Score",
    "Sheet",
    "Split",
]
