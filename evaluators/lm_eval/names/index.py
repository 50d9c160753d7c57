"""lm-eval's index: what the names of tasks, groups and tags stand for, before any of them is imported.

Here "task", "metric", "group" and "tag" are lm-eval's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.registry import metric_registry
from lm_eval.tasks import TaskManager

from evaluators.errors import EvaluationError, UnknownMetricError
from evaluators.lm_eval.names.folder_tasks import FolderTasks
from evaluators.lm_eval.names.suggestion import suggestion
from evaluators.lm_eval.names.task_files import ALLOW_TASK_CODE, check_folder, task_code_allowed
from evaluators.permissions import check_place

Entry = Any  # of lm-eval's index: a name, its kind, its file and that file's content
Index = Mapping[str, Entry]
_COLLECTIONS = ("GROUP", "TAG")


def tasks_in(folders: Sequence[Path]) -> TaskManager:
    """Returns the tasks in a user's folders; of tasks of one name the last folder's, as in lm-eval.

    Raises:
        EvaluationError: A folder may not be read, is missing, or brings Python.
    """
    for folder in folders:
        check_place("include_path", folder)
        check_folder(folder)
    return FolderTasks(folders)


def is_collection(task: str, index: Index) -> bool:
    """Says whether a name stands for several tasks without a common score."""
    entry = index[task]
    kind = entry.kind.name
    return kind == "TAG" or (kind == "GROUP" and not (entry.cfg or {}).get("aggregate_metric_list"))


def leaves_of(task: str, index: Index) -> list[str]:
    """Returns the names of all tasks that a name stands for."""
    parts = parts_of(task, index)
    return [name for name in parts if name not in index or index[name].kind.name not in _COLLECTIONS]


def members_of(task: str, index: Index) -> list[str]:
    """Returns what a group or tag consists of, one level down; nothing for a task."""
    entry = index.get(task)
    if entry is None or entry.kind.name not in _COLLECTIONS:
        return []
    return sorted(entry.tags) if entry.kind.name == "TAG" else _names((entry.cfg or {}).get("task"))


def parts_of(task: str, index: Index) -> dict[str, dict[str, Any]]:
    """Returns name and settings of everything that a task, group or tag consists of, itself included."""
    return _under(task, index, {})


def check_code(task: str, index: Index, *, is_own: bool) -> None:
    """Refuses, before lm-eval imports anything, tasks that would run foreign code.

    Raises:
        EvaluationError: Names the task and what to do.
    """
    if task_code_allowed():
        return
    for name, config in parts_of(task, index).items():
        for settings in _nested(config):
            _check_code(name, settings, own=is_own)


def _under(name: str, index: Index, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    if name not in found:
        entry = index.get(name)
        found[name] = (entry.cfg or {}) if entry else {}
        for member in members_of(name, index):
            _under(member, index, found)
    return found


def _names(members: Any) -> list[str]:  # noqa: ANN401 - a name, a definition, or a list of those
    """Returns the tasks and groups that a group's `task` names."""
    if isinstance(members, str):
        return [members]
    if isinstance(members, Mapping):
        return _names(members.get("task") or members.get("group"))
    return [name for member in members or () for name in _names(member)]


def _nested(settings: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - any YAML
    """Yields every mapping in a task file: a group may lay down its members' settings."""
    if isinstance(settings, Mapping):
        yield settings
    if isinstance(settings, Mapping | list):
        for value in settings.values() if isinstance(settings, Mapping) else settings:
            yield from _nested(value)


def _check_code(name: str, settings: Mapping[str, Any], *, own: bool) -> None:
    """Refuses settings that make lm-eval run code: the model's, or code that comes with metric or data."""
    for switch, what in (
        ("unsafe_code", "runs the code that the model writes"),
        *(() if own else (("trust_remote_code", "runs the code that comes with its data"),)),
    ):
        if settings.get(switch):
            raise EvaluationError(
                "task",
                f"{name} {what}",
                f"choose another task, or set {ALLOW_TASK_CODE}=1 on workers that are walled off",
            )
    metrics = () if own else settings.get("metric_list") or ()
    for metric in metrics if isinstance(metrics, list) else ():
        if metric.get("metric") not in metric_registry or metric.get("hf_evaluate"):
            raise UnknownMetricError(
                "metric",
                f"{name} asks for {metric.get('metric')!r}, which is none of lm-eval's",
                suggestion(str(metric.get("metric")), sorted(metric_registry.keys())),
            )
