"""The evaluators by name.  Apart from the package's `__init__`, because importing them imports torch."""

from __future__ import annotations

from collections.abc import Mapping

from evaluators.composite_evaluator import CompositeEvaluator
from evaluators.lm_eval.harness import Harness

EVALUATORS: Mapping[str, type] = {"lm_eval": Harness, "composite": CompositeEvaluator}
