"""Files of questions that stand for tasks: they become task files beside the experiment's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from service.cli.exits import Exit
from service.cli.output import CommandError, note
from service.specification.question_file import (
    ENOUGH,
    QuestionFileError,
    is_question_file,
    task_of,
)

FOLDER = "tasks"


def take_questions(objectives: Sequence[Any], folder: Path, *, replace: bool) -> dict[Path, str]:
    """Names the tasks of objectives that are files of questions; returns the task files to write.

    Args:
        objectives: Of the experiment's file; they are changed.
        folder: Where the task files are to lie.
        replace: Other task files of these names may be replaced.

    Raises:
        CommandError: A file is none of questions, or there is another task file of its name.
    """
    texts: dict[Path, str] = {}
    for objective in objectives:
        if not isinstance(objective, dict) or not is_question_file(str(objective.get("task", ""))):
            continue
        task, count = _task(Path(objective["task"]).expanduser())
        place = folder / f"{task['task']}.yaml"
        text = yaml.safe_dump(task, sort_keys=False, allow_unicode=True)
        if place.exists() and place.read_text(encoding="utf-8") != text and not replace:
            hint = "rename the file of questions, or add --replace"
            raise CommandError(f"{place} is there already", hint, code=Exit.CONFLICT)
        texts[place] = text
        if count < ENOUGH:
            note(f"Warning: {objective['task']} holds {count} questions; below {ENOUGH} much is luck.")
            objective["allow_few_items"] = True
        objective["task"] = task["task"]
    return texts


def write_task_files(texts: Mapping[Path, str]) -> None:
    """Writes the task files, and says so."""
    for place, text in texts.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        note(
            f"{place} says how the questions are asked and marked (lm-eval's format); change it as you like."
        )


def _task(file: Path) -> tuple[dict[str, Any], int]:
    try:
        return task_of(file)
    except QuestionFileError as error:
        raise CommandError(error.detail, error.remedy, code=Exit.INVALID) from error
