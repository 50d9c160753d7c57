"""What a user's task folder holds, read as plain YAML: nothing in it is run.

lm-eval imports the Python that a task file names with `!function` while it loads the file, so the
files are looked through before lm-eval sees them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from evaluators.errors import EvaluationError

ALLOW_TASK_CODE = "EVOMERGE_ALLOW_TASK_CODE"
"""The environment variable with which the operator of a worker lets tasks bring Python (`1`)."""


def task_code_allowed() -> bool:
    """Whether the operator lets tasks bring their own Python."""
    return os.environ.get(ALLOW_TASK_CODE) == "1"


def check_folder(folder: Path) -> None:
    """Refuses a folder that is missing, has unreadable task files, or brings Python.

    Raises:
        EvaluationError: Says which file it is and what to do.
    """
    if not folder.is_dir():
        raise EvaluationError(
            "include_path", f"there is no folder {folder}", "name the folder that holds the task's YAML file"
        )
    seen: set[Path] = set()
    for path in sorted(folder.glob("**/*.yaml")):
        for file, functions in _functions(path, seen):
            if functions and not task_code_allowed():
                raise EvaluationError(
                    "include_path",
                    f"{file} names Python to run: !function {functions[0]}",
                    f"say it with plain templates, or set {ALLOW_TASK_CODE}=1 on the workers if you trust it",
                )


def _functions(path: Path, seen: set[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Yields a file and those it includes, wherever they lie, with the functions that each names."""
    path = path.expanduser().resolve()
    if path in seen:
        return
    seen.add(path)
    config, functions = _read(path)
    yield path, functions
    if isinstance(config, dict) and (included := config.get("include")):
        for other in included if isinstance(included, list) else [included]:
            yield from _functions(path.parent / str(other), seen)


def _read(path: Path) -> tuple[Any, list[str]]:
    functions: list[str] = []

    class Reader(yaml.SafeLoader):
        """Plain YAML, where `!function` is noted instead of followed."""

    def note(_: yaml.SafeLoader, node: yaml.Node) -> None:
        functions.append(str(node.value))

    Reader.add_constructor("!function", note)
    try:
        return yaml.load(path.read_bytes(), Loader=Reader), functions  # noqa: S506 - a SafeLoader
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise EvaluationError("include_path", f"{path} cannot be read: {error}", "mend the file") from error
