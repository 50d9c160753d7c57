"""The names of all tasks, groups and tags.  Here "task", "group" and "tag" are lm-eval's words.

lm-eval reads some 14,000 files to know its own names.  They are kept in the user's cache, until a file
of lm-eval's changes; so lm-eval itself, slow to import, is imported only where they are not kept yet.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile

from evaluators.errors import EvaluationError
from evaluators.task_facts import OwnTask, TaskEntry, TaskKind, TaskList

_VERSION = 2  # of the cache's files
_GLOB = "*?["


def find_tasks(
    pattern: str = "",
    kind: TaskKind | None = None,
    folders: Sequence[Path] = (),
    *,
    after: int = 0,
    most: int | None = None,
    own: Path | None = None,
) -> TaskList:
    """Returns the tasks that are called so: the name itself first, then by name.

    Args:
        pattern: A part of the name or of the data set's, whatever its case, or a name with `*` and `?`.
        kind: Leaves out the others.
        folders: With the user's own task files, which are listed first.
        after: So many are passed over.
        most: So many are returned; None returns all.
        own: Where lm-eval's own files lie; None looks them up.

    Raises:
        EvaluationError: A folder cannot be used.
    """
    users = _entries_in(folders) if folders else ()
    hidden = {entry.name for entry in users}
    others = (each.entry for each in own_names(own or own_folder()).values())
    known = (*users, *(entry for entry in others if entry.name not in hidden))
    found = [entry for entry in known if kind in (None, entry.kind) and _matches(entry, pattern.lower())]
    found.sort(
        key=lambda each: (each.name.lower() != pattern.lower(), each.name not in hidden, each.name.lower())
    )
    end = None if most is None else after + most
    return TaskList(tuple(found[after:end]), len(found))


@cache
def own_names(folder: Path) -> Mapping[str, OwnTask]:
    """Returns the names in lm-eval's own folder, from the cache where its files are still those read."""
    cache_file = _cache_of(folder)
    with suppress(OSError, ValueError, TypeError):
        kept = json.loads(cache_file.read_text(encoding="utf-8"))
        return {
            name: OwnTask(TaskEntry(**entry), file, tuple(members))
            for name, (entry, file, members) in kept.items()
        }
    from evaluators.lm_eval.names.entries import names_below  # imports lm-eval

    found = names_below(folder)
    with suppress(OSError):  # a cache that cannot be written costs time alone
        records = {name: (asdict(each.entry), each.file, each.members) for name, each in found.items()}
        _write(cache_file, json.dumps(records))
    return found


def own_folder() -> Path:
    """Returns where lm-eval's own task files lie.

    Raises:
        EvaluationError: It is not installed.
    """
    found = find_spec("lm_eval")
    places = [] if found is None else list(found.submodule_search_locations or ())
    if not places:
        raise EvaluationError("task", "lm-eval is not installed", "pip install 'evomerge[worker]'")
    return Path(places[0]) / "tasks"


def _entries_in(folders: Sequence[Path]) -> tuple[TaskEntry, ...]:
    from evaluators.lm_eval.names.entries import entries_in  # imports lm-eval

    return entries_in(folders)


def _matches(entry: TaskEntry, pattern: str) -> bool:
    if any(mark in pattern for mark in _GLOB):
        return fnmatchcase(entry.name.lower(), pattern)
    return pattern in entry.name.lower() or pattern in entry.data.lower()


def _cache_of(folder: Path) -> Path:
    """Returns the file that keeps a folder's names; another one when any of its task files changes."""
    digest = hashlib.sha256(f"{_VERSION} {folder}".encode())
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.endswith((".yaml", ".yml")):
                stat = os.stat(os.path.join(place, name))  # noqa: PTH116, PTH118 - 14,000 of them
                digest.update(f"{place}/{name} {stat.st_mtime_ns} {stat.st_size}\n".encode())
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evomerge"
    return caches / f"tasks-{digest.hexdigest()[:24]}.json"


def _write(path: Path, text: str) -> None:
    """Writes a file that others see whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, suffix=".json", delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)
