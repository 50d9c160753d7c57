"""Benchmark: what is asked, with all that changes its result pinned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluators.splits import SplitRule


class Benchmark(BaseModel):
    """An lm-eval task and how it is put to the model.

    Attributes:
        name: What its scores are called in the experiment.
        task: The task's name in lm-eval.
        metric: `acc`, or `acc,filter`; None takes the task's first metric.
        include_path: A folder with the user's own task files; None looks in lm-eval's own tasks.
        direction: Whether larger or smaller values are better; None takes the metric's own word.
        num_fewshot: Solved examples put before each question; None leaves it to the task.
        splits: How items are divided; None uses the data set's own search, selection and test
            splits where it has them, and shares of its items otherwise.
        max_items: Most items asked per split, the first ones in the split's order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    task: Annotated[str, Field(min_length=1, max_length=200)]
    metric: str | None = None
    include_path: str | None = None
    direction: Literal["maximize", "minimize"] | None = None
    num_fewshot: Annotated[int, Field(ge=0, le=100)] | None = None
    splits: SplitRule | None = None
    max_items: Annotated[int, Field(ge=1)] | None = None
