"""Writes the problem as lm-eval tasks: per task one YAML file and one JSONL file per split.

Multiple choice among the twelve numbers of a language, each one token: that is one pass through the
network per question, and as strict as generating the answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from examples.language_and_arithmetic.curriculum import SPLITS, Curriculum
from examples.language_and_arithmetic.questions import ENGLISH, Language, Question, Z

TASKS = {"arithmetic_z": Z, "arithmetic_english": ENGLISH, "language_z": Z}


def write_tasks(curriculum: Curriculum, folder: Path) -> list[Path]:
    """Writes every task of a curriculum; returns the YAML files, whose paths to the data are absolute."""
    data = folder.resolve() / "data"
    data.mkdir(parents=True, exist_ok=True)
    written = []
    for name, language in TASKS.items():
        files = {split: data / f"{name}_{split}.jsonl" for split in SPLITS}
        for split, path in files.items():
            _write(path, "".join(_row(asked, language) for asked in curriculum.tasks[name][split]))
        path = folder / f"{name}.yaml"
        task = _task(name, language, {split: str(file) for split, file in files.items()})
        _write(path, yaml.safe_dump(task, sort_keys=False, width=1000))
        written.append(path)
    return written


def _task(name: str, language: Language, files: dict[str, str]) -> dict[str, Any]:
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
        "test_split": "search",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": list(language.numbers),
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }


def _row(asked: Question, language: Language) -> str:
    row = {"question": asked.text, "answer": language.numbers.index(asked.answer)}
    return json.dumps(row) + "\n"


def _write(path: Path, text: str) -> None:
    """Writes a file unless it says just that already: data sets are cached by their files' times."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
