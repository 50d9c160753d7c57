"""A file of questions and answers as an lm-eval task: what `evomerge init --tasks questions.jsonl` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ENDINGS = (".jsonl", ".json")
QUESTIONS = ("question", "prompt", "input")
ANSWERS = ("answer", "target", "output", "label")
CHOICES = "choices"
FEWEST = 30  # questions: fewer do not make three splits that say anything
ENOUGH = 150  # questions, of which two in five are the search's: surely the 50 that it should have
TOKENS_PER_CHARACTER = 1.0  # an upper bound for any vocabulary
MOST_TOKENS = 512


class QuestionFileError(ValueError):
    """A file is not one of questions and answers.

    Attributes:
        detail: What is wrong, with file and line.
        remedy: What to do.
    """

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(f"{detail}; {remedy}")
        self.detail, self.remedy = detail, remedy


def is_question_file(text: str) -> bool:
    """Says whether what stands for a task is a file of questions."""
    return text.endswith(ENDINGS)


def task_name(file: Path) -> str:
    """Returns what the task of a file is called."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", file.stem).strip("_") or "questions"


def task_of(file: Path) -> tuple[dict[str, Any], int]:
    """Returns the lm-eval task that asks a file's questions, and how many they are.

    Choices are weighed; answers without choices are written by the models.

    Each line is a JSON object with a question (`question`, `prompt` or `input`) and its answer (`answer`,
    `target`, `output` or `label`); with `choices`, the answer is one of them, or its place from 0 on.

    Raises:
        QuestionFileError: It cannot be read so.
    """
    items = list(_items(file))
    if len(items) < FEWEST:
        detail = f"{file} holds {len(items)} questions"
        raise QuestionFileError(detail, f"give at least {FEWEST}: they are divided into three splits")
    question, answer = _key(file, items, QUESTIONS), _key(file, items, ANSWERS)
    common = {
        "task": task_name(file),
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file.absolute())}},
        "test_split": "test",
        "doc_to_text": f"{{{{{question}}}}}",
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }
    if any(CHOICES in item for _, item in items):
        return common | _weighed(file, items, answer), len(items)
    return common | _written(items, answer), len(items)


def _items(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields the objects of a file with their lines.

    Raises:
        QuestionFileError: The file cannot be read, or a line holds no object.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionFileError(f"{file} cannot be read: {error}", "check the path") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise QuestionFileError(
                f"{file}:{number}: no JSON: {error}", "write an object per line"
            ) from error
        if not isinstance(item, dict):
            raise QuestionFileError(f"{file}:{number}: no object", 'write {"question": ..., "answer": ...}')
        yield number, item


def _key(file: Path, items: Sequence[tuple[int, Mapping[str, Any]]], names: Sequence[str]) -> str:
    """Returns which of these keys all items have."""
    found = next((name for name in names if name in items[0][1]), None)
    for number, item in items:
        if found is None or item.get(found) is None:
            known = ", ".join(map(repr, item))
            detail = f"{file}:{number}: there is no {found or ' or '.join(names)}, but {known}"
            raise QuestionFileError(detail, f"give every line the key {found or names[0]!r}")
    return str(found)


def _weighed(file: Path, items: Sequence[tuple[int, Mapping[str, Any]]], answer: str) -> dict[str, Any]:
    """Returns what a task of choices says; every answer must be one of them."""
    for number, item in items:
        choices, right = item.get(CHOICES), item[answer]
        if not isinstance(choices, list) or not choices:
            raise QuestionFileError(f"{file}:{number}: there are no choices", f"give every line {CHOICES!r}")
        if right not in choices and not (isinstance(right, int) and 0 <= right < len(choices)):
            remedy = "write one of the choices, or its place from 0 on"
            raise QuestionFileError(f"{file}:{number}: {right!r} is none of {choices}", remedy)
    by_text = isinstance(items[0][1][answer], str)
    return {
        "output_type": "multiple_choice",
        "doc_to_choice": CHOICES,
        "doc_to_target": f"{{{{{CHOICES}.index({answer})}}}}" if by_text else f"{{{{{answer}}}}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }


def _written(items: Sequence[tuple[int, Mapping[str, Any]]], answer: str) -> dict[str, Any]:
    """Returns what a task says whose answers are written: the first line is compared, not its case."""
    longest = max(len(str(item[answer])) for _, item in items)
    tokens = min(max(int(longest * TOKENS_PER_CHARACTER) + 1, 8), MOST_TOKENS)
    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    return {
        "output_type": "generate_until",
        "doc_to_target": f"{{{{{answer}}}}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": tokens, "do_sample": False},
        "filter_list": [
            {
                "name": "trimmed",
                "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}],
            }
        ],
        "metric_list": [metric | {"ignore_case": True, "ignore_punctuation": True}],
    }
