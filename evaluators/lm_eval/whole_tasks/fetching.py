"""Fetches what tasks need into the cache, so that they can be asked without a network afterwards.

Here "task", "group" and "tag" are lm-eval's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

import datasets
from lm_eval.tasks import TaskManager

from evaluators.lm_eval.names.entries import data_of
from evaluators.lm_eval.names.folder_tasks import OWN_DATA
from evaluators.lm_eval.names.index import check_code, leaves_of
from evaluators.lm_eval.names.location import locate
from evaluators.lm_eval.tasks.task_building import tame_lm_eval
from evaluators.lm_eval.tasks.task_questions import Task, foreign_code
from evaluators.task_facts import Fetched, FetchedData

Tell = Callable[[str], None]


def fetch(names: Sequence[str], folders: Sequence[Path], tell: Tell) -> Fetched:
    """Builds all tasks that names stand for, which puts their data and metrics into the cache.

    Args:
        names: Of tasks, groups and tags.
        folders: With the user's own task files.
        tell: Is told what comes next.

    Raises:
        EvaluationError: There is no such task, or its data cannot be had.
    """
    tame_lm_eval()
    wanted = [each for name in names for each in _leaves(name, folders)]
    found: dict[str, FetchedData] = {}
    for number, (task, manager) in enumerate(wanted, 1):
        tell(f"{number}/{len(wanted)} {task}")
        with foreign_code(task):
            for built in manager.load([task])["tasks"].values():
                one = _fetched(task, built)
                before = found.get(one.data)
                tasks = (*before.tasks, task) if before else (task,)
                found[one.data] = FetchedData(one.data, tasks, one.items, one.size)
    return Fetched(str(datasets.config.HF_DATASETS_CACHE), tuple(found.values()))


def _leaves(name: str, folders: Sequence[Path]) -> list[tuple[str, TaskManager]]:
    located = locate(name, folders)
    index = located.manager.task_index
    check_code(name, index, is_own=located.is_own)
    return [(leaf, located.manager) for leaf in leaves_of(name, index)]


def _fetched(name: str, task: Task) -> FetchedData:
    for prepare in (lambda: task.eval_docs, task.fewshot_docs):  # what they compute is kept as well
        _look_through(prepare())
    parts = dict(task.dataset or {})
    return FetchedData(_data_of(name, task), (name,), sum(map(len, parts.values())), _size(parts.values()))


def _data_of(name: str, task: Task) -> str:
    path = task.config.dataset_path
    given = {"custom_dataset": task.config.custom_dataset, "dataset_name": task.config.dataset_name}
    return f"files of {name}" if path in OWN_DATA else data_of({"dataset_path": path, **given})


def _look_through(items: Iterable[object] | None) -> None:
    next(iter(items or ()), None)


def _size(parts: Iterable[object]) -> int:
    """Returns the bytes of all files in the cache that a data set's parts lie in."""
    files = chain.from_iterable(getattr(part, "cache_files", ()) for part in parts)
    return sum(Path(name).stat().st_size for name in {file["filename"] for file in files})
