"""What the names in lm-eval's index stand for; "task", "group" and "tag" are its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager

from evaluators.lm_eval.names.index import Entry, Index, leaves_of, members_of, tasks_in
from evaluators.task_facts import OwnTask, TaskEntry, TaskKind

_KINDS: Mapping[str, TaskKind] = {"GROUP": "group", "TAG": "tag"}


def names_below(folder: Path) -> dict[str, OwnTask]:
    """Returns all names in a folder of task files that is trusted, as lm-eval's own is."""
    index = TaskManager(include_path=str(folder), include_defaults=False).task_index
    return {
        name: OwnTask(entry_of(name, index), str(index[name].yaml_path or ""), tuple(members_of(name, index)))
        for name in sorted(index)
    }


def entries_in(folders: Sequence[Path]) -> tuple[TaskEntry, ...]:
    """Returns all names in a user's folders.

    Raises:
        EvaluationError: A folder cannot be used.
    """
    return _entries(tasks_in(folders).task_index)


def entry_of(name: str, index: Index) -> TaskEntry:
    """Returns what a name stands for."""
    entry: Entry = index[name]
    kind = _KINDS.get(entry.kind.name, "task")
    if kind != "task":
        return TaskEntry(name, kind, len(leaves_of(name, index)))
    return TaskEntry(name, kind, 1, _output_of(entry), data_of(entry.cfg or {}))


def data_of(config: Mapping[str, Any]) -> str:
    """Returns the data set, and its part, that a task's file names."""
    if config.get("custom_dataset") is not None:
        return "made by the task's own code"
    words = (config.get("dataset_path"), config.get("dataset_name"))
    return " ".join(str(word) for word in words if word)


def _entries(index: Index) -> tuple[TaskEntry, ...]:
    return tuple(entry_of(name, index) for name in sorted(index))


def _output_of(entry: Entry) -> str:
    if entry.kind.name == "PY_TASK":
        return "python"
    return str((entry.cfg or {}).get("output_type") or "generate_until")  # lm-eval's own default
