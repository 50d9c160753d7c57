"""What commands are told to ask: lm-eval's names, the user's task folders, and files of questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from service.cli.spec_files.questions import QUESTIONS_ENDING, read_questions, task_text
from service.cli.terminal.output import note


def spelt(*options: str) -> tuple[str, ...]:
    """Returns options as they are, and as lm-eval spells them, with underscores."""
    underscored = ("--" + option.removeprefix("--").replace("-", "_") for option in options)
    return tuple(dict.fromkeys((*options, *underscored)))


TaskFolders = Annotated[
    list[Path] | None,
    typer.Option(
        *spelt("--tasks-path", "--include-path"),
        metavar="FOLDER",
        help="A folder with your own task files; may be repeated.",
    ),
]


@dataclass(frozen=True, slots=True)
class NamedTasks:
    """Names of tasks, and the folders in which they are looked for before lm-eval's own."""

    names: tuple[str, ...]
    folders: tuple[str, ...]


def folders_named(folders: Sequence[Path] | None) -> tuple[str, ...]:
    """Returns folders as full paths."""
    return tuple(str(folder.expanduser().absolute()) for folder in folders or ())


@contextmanager
def tasks_named(names: Sequence[str], folders: Sequence[Path] | None) -> Iterator[NamedTasks]:
    """Gives what is asked; a `.jsonl` file is a task for as long as the context lasts, as in `init`.

    Raises:
        CommandError: A file of questions cannot be read.
    """
    with TemporaryDirectory(prefix="evomerge-tasks-") as made:
        found = [_task_over(Path(name), Path(made)) if _is_file(name) else name for name in names]
        others = folders_named(folders)
        yield NamedTasks(tuple(found), (*others, made) if any(map(_is_file, names)) else others)


def _is_file(name: str) -> bool:
    return name.endswith(QUESTIONS_ENDING)


def _task_over(file: Path, folder: Path) -> str:
    questions = read_questions(file.expanduser())
    (folder / f"{questions.task}.yaml").write_text(task_text(questions), encoding="utf-8")
    note(questions.told)
    return questions.task
