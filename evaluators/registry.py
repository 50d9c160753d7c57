"""The evaluators by name.  Apart from the package's `__init__`, because importing them imports torch."""

from __future__ import annotations

from collections.abc import Mapping

from evaluators.harness import Harness
from evaluators.jury import Jury

EVALUATORS: Mapping[str, type] = {"lm_eval": Harness, "jury": Jury}
