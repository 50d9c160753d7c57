"""Questions about lm-eval's tasks, and their answers.  Torch-free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evaluators.benchmark import Benchmark
from evaluators.task_facts import TaskKind
from search_spaces import Parent

Tell = Callable[[str], None]
"""Is told what comes next, in words."""


@dataclass(frozen=True, slots=True)
class TaskSearch:
    """Asks which tasks there are; answered with a `TaskList`.

    Attributes:
        pattern: A part of the name or of the data set's, or a name with `*` and `?`; "" matches all.
        kind: Leaves out the others.
        folders: With the user's own task files.
        after: So many are passed over.
        most: So many are wanted; None wants all.
    """

    pattern: str = ""
    kind: TaskKind | None = None
    folders: tuple[str, ...] = ()
    after: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class TaskInquiry:
    """Asks for all about a task; answered with a `TaskDescription`.

    Attributes:
        benchmark: The task, and how a search would ask it.
        model: Whose tokenizer and chat template make the example's prompt; None shows plain text.
    """

    benchmark: Benchmark
    model: Parent | None = None


@dataclass(frozen=True, slots=True)
class TaskFetch:
    """Wants what tasks need in the cache; answered with `Fetched`."""

    names: tuple[str, ...]
    folders: tuple[str, ...] = ()
