"""A JSONL file of questions as an lm-eval task: `evomerge init --tasks FILE.jsonl`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from service.cli.exits import Exit
from service.cli.terminal.output import CommandError

QUESTIONS_ENDING = ".jsonl"
QUESTION_KEYS = ("question", "prompt", "instruction", "input")
ANSWER_KEYS = ("answer", "target", "output", "solution")
CHOICES_KEYS = ("choices", "options")
IMAGE_KEYS = ("image", "images")
MOST_OFFERED = 26  # different answers that are offered as a choice
LEAST_REPEATS = 4  # how often each of them must come, on average
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEAD = """\
# An lm-eval task over {file}, made by `evomerge init`.  How a question is put stands in doc_to_text:
# write an instruction or a chat's format around the question if your models expect one.
"""
_SHAPE = (
    '{"question": "...", "answer": "..."} on each line, with "choices": ["...", "..."] where there are some, '
    'and "image": "FILE" where a picture is asked about'
)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Questions:
    """A file of questions.

    Attributes:
        question: The key under which each line has its question.
        choices: The key of the choices, where the lines have some.
        offered: The answers that there are, where they are few enough to be offered as a choice.
        right: What lm-eval is to take for the right answer: a template over a line's keys.
        image: The key of the pictures' files, where pictures are asked about.
    """

    path: Path
    question: str
    choices: str | None
    offered: Sequence[str]
    right: str
    count: int
    image: str | None = None

    @property
    def task(self) -> str:
        """The task's name, which is none of lm-eval's."""
        return f"my_{re.sub(r'[^A-Za-z0-9_]+', '_', self.path.stem).strip('_') or 'questions'}"

    @property
    def told(self) -> str:
        """How the questions are asked, in a sentence."""
        if self.choices is not None:
            how = "asked as multiple choice"
        elif self.offered:
            how = f"asked as a choice among the {len(self.offered)} answers that there are"
        else:
            how = "answered freely and compared with the answer but for case and punctuation"
        how += "" if self.image is None else ", about pictures"
        return f"{self.path.name}: {self.count} questions, {how}"


def read_questions(path: Path) -> Questions:
    """Returns what a JSONL file of questions holds.

    Raises:
        CommandError: It cannot be read, or a line holds no question with an answer.
    """
    rows = _rows(path)
    line, first = next(iter(rows.items()))
    keys = [_key(path, line, first, known) for known in (QUESTION_KEYS, ANSWER_KEYS)]
    question, answer = keys
    choices = next((key for key in CHOICES_KEYS if isinstance(first.get(key), list)), None)
    for number, row in rows.items():
        _check_row(path, number, row, keys, choices)
    image = next((key for key in IMAGE_KEYS if key in first), None)
    for number, row in rows.items():
        _check_pictures(path, number, row, image)
    if choices is not None:
        right = _right_choice(path, rows, answer, choices)
        return Questions(path, question, choices, (), right, len(rows), image)
    offered = _offered(str(row[answer]) for row in rows.values())
    right = f"{{{{{json.dumps(offered)}.index({answer} | string)}}}}" if offered else f"{{{{{answer}}}}}"
    return Questions(path, question, None, offered, right, len(rows), image)


def task_text(questions: Questions, folder: Path | None = None) -> str:
    """Returns the task's file, as it will lie in a folder; without one, its data have their full path."""
    path = questions.path.absolute()
    data = str(path) if folder is None else os.path.relpath(path, folder.absolute())
    content = {
        "task": questions.task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"train": data}},
        "test_split": "train",  # the items, which are divided into three splits
        **_asking(questions),
        "doc_to_target": questions.right,
        **_marking(questions),
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    return _HEAD.format(file=questions.path.name) + text


def _asking(questions: Questions) -> dict[str, Any]:
    """Returns how a question is put, after the pictures that it is about."""
    text = f"{{{{{questions.question}}}}}"
    if questions.image is None:
        return {"doc_to_text": text}
    several = f"{questions.image} is string"
    places = f"{{{{'<image>' if {several} else '<image>' * ({questions.image} | length)}}}}"
    return {"doc_to_image": [questions.image], "doc_to_text": f"{places} {text}"}


def _marking(questions: Questions) -> dict[str, Any]:
    """Returns how answers are asked for and marked."""
    metric = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
    if questions.choices is not None or questions.offered:
        choices = questions.choices or list(questions.offered)
        return {"output_type": "multiple_choice", "doc_to_choice": choices, "metric_list": [metric]}
    metric |= {"metric": "exact_match", "ignore_case": True, "ignore_punctuation": True}
    return {
        "output_type": "generate_until",
        "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 64},
        "metric_list": [metric],
    }


def _rows(path: Path) -> dict[int, Row]:
    """Returns a file's objects by their lines."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", "check the path", code=Exit.INVALID) from error
    rows: dict[int, Row] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _wrong(path, number, f"it is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise _wrong(path, number, "it is no object")
        rows[number] = row
    if not rows:
        raise _wrong(path, 1, "the file is empty")
    return rows


def _key(path: Path, line: int, row: Row, known: Sequence[str]) -> str:
    found = next((key for key in known if key in row), None)
    if found is None:
        raise _wrong(
            path, line, f"its keys are {', '.join(row) or 'none'}; one of {', '.join(known)} is needed"
        )
    return found


def _check_row(path: Path, line: int, row: Row, texts: Sequence[str], choices: str | None) -> None:
    for key in texts:
        if key not in row:
            raise _wrong(path, line, f"there is no {key!r}")
        if not isinstance(row[key], str | int | float) or row[key] == "":
            raise _wrong(path, line, f"its {key!r} is {json.dumps(row[key])}")
    if choices is not None and not (isinstance(row.get(choices), list) and row[choices]):
        raise _wrong(path, line, f"its {choices!r} are no list")


def _check_pictures(path: Path, line: int, row: Row, image: str | None) -> None:
    """Refuses a line whose pictures are no files from the folder of the questions."""
    if image is None:
        return
    given = row.get(image)
    for name in given if isinstance(given, list) and given else [given]:
        if not isinstance(name, str) or not name:
            raise _wrong(path, line, f"its {image!r} is {json.dumps(given)}, no file's name")
        if not (path.parent / name).is_file():
            raise _wrong(path, line, f"there is no picture {path.parent / name}")


def _offered(answers: Iterable[str]) -> list[str]:
    """Returns the different answers, if they are few and each comes often; else none."""
    given = list(answers)
    distinct = sorted(set(given))
    few = 2 <= len(distinct) <= min(MOST_OFFERED, len(given) // LEAST_REPEATS)
    return distinct if few else []


def _right_choice(path: Path, rows: Mapping[int, Row], answer: str, choices: str) -> str:
    """Returns the template that gives the place of the right choice, from 0.

    Answers are the choices' texts, their letters, or their places; one way in the whole file.

    Raises:
        CommandError: An answer is none of its choices.
    """
    for is_right, template in (
        (lambda given, among: given in among, f"{{{{{choices}.index({answer})}}}}"),
        (_is_letter, f"{{{{'{_LETTERS}'.index({answer})}}}}"),
        (_is_place, f"{{{{{answer}}}}}"),
    ):
        wrong = [n for n, row in rows.items() if not is_right(row[answer], row[choices])]
        if not wrong:
            return template
        if len(wrong) < len(rows):  # this is how the file says it, and these lines do not
            raise _wrong(path, wrong[0], f"the answer {rows[wrong[0]][answer]!r} is none of its {choices}")
    line, row = next(iter(rows.items()))
    raise _wrong(path, line, f"the answer {row[answer]!r} is none of its {choices}")


def _is_letter(given: object, among: Sequence[object]) -> bool:
    return isinstance(given, str) and len(given) == 1 and given in _LETTERS[: len(among)]


def _is_place(given: object, among: Sequence[object]) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(among)


def _wrong(path: Path, line: int, detail: str) -> CommandError:
    return CommandError(f"{path}:{line}: {detail}", f"write {_SHAPE}", code=Exit.INVALID)
