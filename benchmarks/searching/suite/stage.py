"""Stage: a problem that is ready to be searched: checked spec, space, and the evaluator with its parents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.searching.suite.evaluator import Evaluator
from benchmarks.searching.suite.problem import Problem
from search_spaces import SearchSpace
from service.experiment.spec import ExperimentSpec
from service.specification.planning import build_space_for
from service.specification.spec_check import Checked, check_spec
from workers.protocol.messages import Workload

_SAMPLE = 60  # candidates of the spec that is only looked at


class Stage:
    """What all contestants of a problem share.

    Attributes:
        checked: The product's own check of the spec, with its baselines.
    """

    def __init__(self, problem: Problem, folder: Path) -> None:
        """Makes the parents where they are not there, and loads them."""
        self.problem, self.folder = problem, folder
        self.evaluator = Evaluator(folder / "evaluations" / f"{problem.name}.sqlite")
        self.checked = self.check("random", _SAMPLE)
        spec = self.checked.spec
        self.evaluator.prepare(
            Workload(uuid4(), spec.all_parents, spec.benchmarks, dtype=spec.dtype, count=1)
        )

    def check(self, algorithm: str, candidates: int) -> Checked:
        """Returns the spec for one of our optimizers, checked as the product does."""
        families = self.folder / "families"
        return check_spec(self.problem.spec(families, algorithm, 0, candidates), self.evaluator)

    @property
    def spec(self) -> ExperimentSpec:
        """The checked spec."""
        return self.checked.spec

    @property
    def facts(self) -> dict[str, Any]:
        """What the check found out."""
        return self.checked.facts

    @property
    def weights(self) -> Sequence[float]:
        """One per objective."""
        return self.spec.weights

    @cached_property
    def space(self) -> SearchSpace:
        """The space that all search."""
        return build_space_for(self.spec, self.facts)

    def close(self) -> None:
        """Lets the parents go."""
        self.evaluator.close()
