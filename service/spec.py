"""ExperimentSpec: what a user writes to describe an experiment, as YAML or JSON.

The spec is checked in two steps.  This file checks what it says by itself; `service.preflight`
checks it against the parents on disk and the tasks that lm-eval knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from evaluators import Benchmark
from evaluators.splits import SplitRule
from search_spaces import Parent, SpaceOptions
from search_spaces.recipe import DType

MOST_PARENTS = 32
MOST_OBJECTIVES = 20  # more than the hypervolume can be estimated for in reasonable time

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Spec(BaseModel):
    """A part of the spec: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Objective(Spec):
    """A benchmark that the search improves.

    Attributes:
        name: What it is called; the task's name by default.
        weight: Its share in the weighted sum that single-objective optimizers climb.
    """

    task: Name
    name: Name | None = None
    metric: str | None = None
    num_fewshot: Annotated[int, Field(ge=0, le=100)] | None = None
    splits: SplitRule | None = None
    max_items: Annotated[int, Field(ge=1)] | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0

    @property
    def label(self) -> str:
        """The name under which its scores appear."""
        return self.name or self.task

    def benchmark(self, include_path: str | None) -> Benchmark:
        """Returns what is asked of the model."""
        return Benchmark(
            name=self.label,
            task=self.task,
            metric=self.metric,
            include_path=include_path,
            num_fewshot=self.num_fewshot,
            splits=self.splits,
            max_items=self.max_items,
        )


class OptimizerOptions(Spec):
    """Which optimizer, and its settings.

    Attributes:
        algorithm: A key of `service.optimizers.OPTIMIZERS`, or `auto`: the one that suits the problem.
        population: Candidates per generation; None leaves it to the algorithm.
        sigma: First step of CMA-ES as a share of each range (Akiba et al. use 1/6).
    """

    algorithm: str = "auto"
    population: Annotated[int, Field(ge=2, le=10_000)] | None = None
    sigma: Annotated[float, Field(gt=0, le=1)] = 1 / 6


class Budget(Spec):
    """When the search ends.

    Attributes:
        candidates: Evolved candidates, the baselines of generation 0 not counted.
        seconds: Wall-clock time of searching, if limited; a generation under way is finished.
        failures: Failed candidates after which the experiment is given up.
        target: Weighted mean of the objectives (as fitness: what is minimized counts negative) at
            which the search has done enough.
        stagnation: Evolved candidates in a row without a better one, or a larger front, after which
            nothing more is expected.
    """

    candidates: Annotated[int, Field(ge=1, le=1_000_000)]
    seconds: Annotated[float, Field(gt=0)] | None = None
    failures: Annotated[int, Field(ge=0)] = 20
    target: float | None = None
    stagnation: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class Examination(Spec):
    """What is re-evaluated after the search, on items the optimizer never saw.

    Attributes:
        finalists: Best candidates that compete on the selection split.
    """

    finalists: Annotated[int, Field(ge=1, le=100)] = 8


class Baselines(Spec):
    """What generation 0 holds beside the parents and their plain average.

    Attributes:
        standard_recipes: The usual recipes: task arithmetic over a grid of weights, TIES,
            DARE-TIES and slerp, as far as the parents allow.
        recipes: The user's own, as mergekit YAML files' contents.
    """

    standard_recipes: bool = True
    recipes: dict[Name, str] = {}


class ExperimentSpec(Spec):
    """An experiment: parents, what can be tried, what is scored, who searches and for how long.

    Attributes:
        tasks_path: A folder with the user's own lm-eval tasks.
        dtype: Of the merged weights; None keeps the parents' own.
        evaluation_timeout: Seconds after which a candidate's worker is killed.
    """

    schema_version: Literal[1] = 1
    name: Name
    parents: Annotated[tuple[Parent, ...], Field(min_length=1, max_length=MOST_PARENTS)]
    base: Parent | None = None
    space: SpaceOptions = SpaceOptions()
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=MOST_OBJECTIVES)]
    tasks_path: str | None = None
    optimizer: OptimizerOptions = OptimizerOptions()
    budget: Budget
    baselines: Baselines = Baselines()
    examination: Examination = Examination()
    dtype: DType | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    evaluation_timeout: Annotated[float, Field(gt=0, le=7 * 86400)] = 3600.0
    notes: Annotated[str, Field(max_length=10_000)] = ""

    @field_validator("parents")
    @classmethod
    def _no_parent_twice(cls, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
        for parent in parents:
            if parents.count(parent) > 1:
                raise ValueError(f"{parent} stands there twice; name each parent once")
        return parents

    @field_validator("objectives")
    @classmethod
    def _no_name_twice(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        labels = [objective.label for objective in objectives]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two objectives are called {label!r}; give one of them another `name`")
        return objectives

    @property
    def all_parents(self) -> tuple[Parent, ...]:
        """The parents and the base, each once."""
        return tuple(dict.fromkeys((*self.parents, *((self.base,) if self.base else ()))))

    @property
    def benchmarks(self) -> tuple[Benchmark, ...]:
        """One benchmark per objective, in order."""
        return tuple(objective.benchmark(self.tasks_path) for objective in self.objectives)

    @property
    def weights(self) -> tuple[float, ...]:
        """One weight per objective, in order."""
        return tuple(objective.weight for objective in self.objectives)


def label_of(parent: Parent) -> str:
    """Returns a parent's short name: the last part of its path, with its revision."""
    name = Path(parent.model).name or parent.model
    return name if parent.revision is None else f"{name}@{parent.revision[:7]}"
