"""Tasks in a user's folders, with data that lie beside them.  "Task", "group": lm-eval's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from glob import glob  # as lm-eval's loaders: a path may be relative or full
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager
from lm_eval.tasks._factory import TaskFactory

from evaluators.errors import EvaluationError
from evaluators.permissions import check_place

# Loaders of files: data that a user brings are not public.
OWN_DATA = ("json", "csv", "text", "parquet", "arrow", "pandas", "xml", "webdataset")
_ELSEWHERE = ("://", "::")  # in addresses, and in files within archives

Finish = Callable[[Any], None]  # takes lm-eval's ConfigurableTask


class FolderTasks(TaskManager):  # type: ignore[misc]
    """lm-eval's manager, for which a relative path of data begins at the file that names it.

    lm-eval itself begins at the working folder, which is another one on every worker.  What is not beside
    the file is left to lm-eval.

    Args:
        folders: The user's; of tasks of one name the last folder's is taken.
        own: lm-eval's own folders, whose tasks the user's hide.
        include_defaults: All of lm-eval's own are there.
        finish: Is given each task that is loaded.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        own: Sequence[str] = (),
        include_defaults: bool = False,
        finish: Finish = lambda _: None,
    ) -> None:
        super().__init__(include_path=[*own, *map(str, folders)], include_defaults=include_defaults)
        self._factory = _FolderFactory(folders)
        self._finish = finish

    def load(self, task_list: Any) -> dict[str, Any]:  # noqa: ANN401 - names, or what lm-eval makes of them
        """Returns tasks and groups, finished."""
        found: dict[str, Any] = super().load(task_list)
        for task in found["tasks"].values():
            self._finish(task)
        return found


class _FolderFactory(TaskFactory):  # type: ignore[misc]
    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self._folders = [folder.expanduser().resolve() for folder in folders]

    def _load_full_config(self, entry: Any, overrides: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: ANN401
        """Returns a file's settings; those that a group lays down come from its own file, and are whole."""
        config: dict[str, Any] = super()._load_full_config(entry)
        file = None if entry.yaml_path is None else Path(entry.yaml_path).expanduser().resolve()
        if file is not None and any(folder in file.parents for folder in self._folders):
            config = _with_data(config, file)
        if overrides:
            given = overrides.get("metadata", {})
            metadata = given if isinstance(given, dict) else {"_metadata": given}
            config |= {**overrides, "metadata": {**config["metadata"], **metadata}}
        return config


def _with_data(settings: Any, file: Path) -> Any:  # noqa: ANN401 - any YAML
    """Returns settings with the paths of data in them as full ones, where they lie beside the file."""
    if isinstance(settings, list):
        return [_with_data(each, file) for each in settings]
    if not isinstance(settings, Mapping):
        return settings
    found = {key: _with_data(value, file) for key, value in settings.items()}
    path = found.get("dataset_path")
    if isinstance(path, str) and path.startswith("."):
        found["dataset_path"] = _beside(path, file)
    if isinstance(given := found.get("dataset_kwargs"), Mapping):
        there = {key: _beside(given[key], file) for key in ("data_files", "data_dir") if key in given}
        for name in _names(there.get("data_files")) if path in OWN_DATA else ():
            _check(name, file)
        found["dataset_kwargs"] = {**given, **there}
    return found


def _beside(names: Any, file: Path) -> Any:  # noqa: ANN401 - as nested as the task's file has it
    """Returns paths with those that lie beside the task's file in full."""
    if isinstance(names, Mapping):
        return {name: _beside(value, file) for name, value in names.items()}
    if isinstance(names, list):
        return [_beside(value, file) for value in names]
    if not isinstance(names, str) or any(mark in names for mark in _ELSEWHERE):
        return names
    here = file.parent / Path(names).expanduser()
    return str(here.resolve()) if here.exists() else str(here) if _matching(str(here)) else names


def _names(names: Any) -> list[str]:  # noqa: ANN401 - as nested as the task's file has it
    if isinstance(names, Mapping):
        names = list(names.values())
    if isinstance(names, list):
        return [name for each in names for name in _names(each)]
    return [names] if isinstance(names, str) else []


def _check(name: str, file: Path) -> None:
    """Refuses a data file that is not there, or lies where none may be read.

    Raises:
        EvaluationError: Names the file and where it was looked for.
    """
    if any(mark in name for mark in _ELSEWHERE):
        return
    found = [Path(name)] if Path(name).exists() else _matching(name)
    if not found:
        detail = f"{file} names data in {name}, which is neither in {file.parent} nor in {Path.cwd()}"
        raise EvaluationError("task", detail, "write the path from the task file's folder, or the full one")
    for path in found:
        check_place("task", path)


def _matching(pattern: str) -> list[Path]:
    return [Path(name) for name in glob(pattern, recursive=True)]  # noqa: PTH207 - a whole path, perhaps
