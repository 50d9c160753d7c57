"""Where tasks are: in the user's folders, or among lm-eval's own.

Here "task", "group" and "tag" are lm-eval's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lm_eval.tasks import TaskManager

from evaluators.errors import UnknownTaskError
from evaluators.lm_eval.names.catalogue import own_folder, own_names
from evaluators.lm_eval.names.folder_tasks import Finish, FolderTasks
from evaluators.lm_eval.names.index import check_code, members_of, tasks_in
from evaluators.lm_eval.names.suggestion import suggestion
from evaluators.task_facts import OwnTask


@dataclass(frozen=True, slots=True)
class Located:
    """Where a task was found.

    Attributes:
        manager: Builds it.
        is_own: It is one of lm-eval's own.
    """

    manager: TaskManager
    is_own: bool


def locate(task: str, folders: Sequence[Path] = ()) -> Located:
    """Returns where a task is: in the user's folders, else among lm-eval's own.

    Raises:
        UnknownTaskError: It is in neither.
        EvaluationError: A folder cannot be used.
    """
    places, known = ["lm-eval"], list[str]()
    if folders:
        manager = tasks_in(folders)
        if task in manager.task_index:
            return Located(manager, is_own=False)
        named = " and ".join(map(str, folders))
        places, known = [f"the task files in {named}", *places], manager.all_tasks
    own = own_names(own_folder())
    if task in own:
        return Located(_own_tasks(task), is_own=True)
    near = suggestion(task, known or list(own))
    raise UnknownTaskError("task", f"there is no {task!r} among {' or '.join(places)}", near)


def locate_all(tasks: Sequence[str], folders: Sequence[Path], finish: Finish = lambda _: None) -> TaskManager:
    """Returns what builds all of these, users' tasks hiding lm-eval's own of the same name, as in lm-eval.

    Args:
        tasks: Names of tasks, groups and tags.
        folders: With the user's own task files.
        finish: Is given each task that is built, where there are such folders.

    Raises:
        UnknownTaskError: There is no such task.
        EvaluationError: A folder cannot be used, or a task would run foreign code.
    """
    located = {task: locate(task, folders) for task in tasks}
    for task, found in located.items():
        check_code(task, found.manager.task_index, is_own=found.is_own)
    needed, places = _needed([task for task, found in located.items() if found.is_own])
    some = TaskManager(include_path=places, include_defaults=False)
    is_enough = _has_the_same(some, needed)
    if not folders:
        return some if is_enough else _all_own_tasks()
    known = places if is_enough else ()
    return FolderTasks(folders, own=known, include_defaults=not is_enough, finish=finish)


@cache
def _own_tasks(task: str) -> TaskManager:
    """Returns lm-eval's own tasks, or as many of their folders as hold all that a name stands for.

    lm-eval indexes whole folders: all its own in about ten seconds, those of a task in far less.
    """
    needed, places = _needed([task])
    some = TaskManager(include_path=places, include_defaults=False)
    return some if _has_the_same(some, needed) else _all_own_tasks()


def _needed(tasks: Sequence[str]) -> tuple[dict[str, OwnTask], list[str]]:
    """Returns all that some of lm-eval's names stand for, and the folders that hold it."""
    own = own_names(own_folder())
    found: dict[str, None] = {}
    for task in tasks:
        _closure(task, own, found)
    needed = {name: own[name] for name in found}
    folders = _outermost({Path(each.file).parent for each in needed.values() if each.file})
    return needed, [str(folder) for folder in folders]


@cache
def _all_own_tasks() -> TaskManager:
    return TaskManager()


def _closure(name: str, own: Mapping[str, OwnTask], found: dict[str, None]) -> dict[str, None]:
    if name in own and name not in found:
        found[name] = None
        for member in own[name].members:
            _closure(member, own, found)
    return found


def _outermost(folders: set[Path]) -> list[Path]:
    """Returns the folders that lie in none of the others."""
    return sorted(folder for folder in folders if folders.isdisjoint(folder.parents))


def _has_the_same(manager: TaskManager, needed: Mapping[str, OwnTask]) -> bool:
    """Says whether names stand for the same as among all of lm-eval's: a later file may hide one."""
    index = manager.task_index
    return all(
        name in index
        and str(index[name].yaml_path or "") == each.file
        and set(members_of(name, index)) == set(each.members)
        for name, each in needed.items()
    )
