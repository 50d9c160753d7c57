"""The folders with the user's own tasks that a spec names, one or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.errors import Mistake
from service.specification.reading import is_folder, pointer_to


def task_folders(raw: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, list[Mistake]]:
    """Returns the folders that are there, and a mistake for each other one."""
    given = raw.get("tasks_path")
    listed = given if isinstance(given, list) else [given]
    found: list[str] = []
    mistakes = []
    for place, folder in enumerate(listed):
        if not isinstance(folder, str):
            continue
        if is_folder(folder):
            found.append(folder)
            continue
        pointer = pointer_to("tasks_path", place) if listed is given else "/tasks_path"
        remedy = "name a folder with lm-eval task files"
        mistakes.append(Mistake(pointer, "not_found", f"there is no folder {folder}", remedy))
    return tuple(found) or None, mistakes
