"""Makes a family's checkpoints and tasks, unless a folder named by their content holds them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import LlamaForCausalLM

from benchmarks.searching.families.lessons import Family, Lesson, Question, Task
from benchmarks.searching.families.networks import new_network, save, teach, with_adapter

BASE = "base"


@dataclass(frozen=True, slots=True)
class Files:
    """Where a family lies.

    Attributes:
        base: None where the models have no common ancestor.
        experts: Parents by name, as a spec names them.
        tasks: The folder for a spec's `tasks_path`.
    """

    base: str | None
    experts: dict[str, str]
    tasks: str


def make(family: Family, folder: Path, *, seed: int = 0) -> Files:
    """Returns the family's places; trains it where its folder is not there.

    Args:
        family: What is made.
        folder: Gets a folder per family, which appears complete or not at all.
        seed: Of the weights and batches.
    """
    content = family.content() | {"seed": seed, "torch": torch.__version__}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    home = folder.absolute() / digest
    if not home.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{digest}-") as temporary:
            _train_all(family, Path(temporary) / digest, seed)
            shutil.move(Path(temporary) / digest, home)
    _write_tasks(family.tasks, home / "tasks")
    base = str(home / BASE) if family.base else None
    adapted = f"{base}+" if family.rank is not None else ""
    return Files(base, {name: f"{adapted}{home / name}" for name in family.experts}, str(home / "tasks"))


def _train_all(family: Family, home: Path, seed: int) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are rounded differently with more
    try:
        if family.base is not None:
            network = new_network(family, seed)
            teach(network, family, family.base, seed)
            save(network, family, home / BASE)
        for place, (name, lesson) in enumerate(family.experts.items(), 1):
            _train_expert(family, lesson, home / name, 100 * seed + place)
    finally:
        torch.set_num_threads(threads)


def _train_expert(family: Family, lesson: Lesson, folder: Path, seed: int) -> None:
    if family.base is None:
        network = new_network(family, seed)
    else:
        network = LlamaForCausalLM.from_pretrained(folder.parent / BASE, dtype=torch.float32)
    if family.rank is None:
        teach(network, family, lesson, seed)
        save(network, family, folder)
    else:
        adapter = with_adapter(network, family.rank, seed)
        teach(adapter, family, lesson, seed)
        adapter.save_pretrained(folder)


def _write_tasks(tasks: Mapping[str, Task], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, task in tasks.items():
        files = {}
        for split, questions in task.splits.items():
            path = folder / f"{name}_{split}.jsonl"
            _write(path, "".join(_row(question, task) for question in questions))
            files[split] = str(path)
        _write(folder / f"{name}.yaml", yaml.safe_dump(_config(name, task, files), sort_keys=False))


def _row(question: Question, task: Task) -> str:
    answer = task.choices.index(question.answer) if task.choices else question.answer
    return json.dumps({"question": question.prompt, "answer": answer}) + "\n"


def _config(name: str, task: Task, files: dict[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
        "test_split": "search",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }
    metric = "acc" if task.choices else "exact_match"
    config["metric_list"] = [{"metric": metric, "aggregation": "mean", "higher_is_better": True}]
    if task.choices:
        return config | {"output_type": "multiple_choice", "doc_to_choice": list(task.choices)}
    longest = max(len(q.answer.split()) for asked in task.splits.values() for q in asked)
    generation = {"until": ["<end>"], "max_gen_toks": longest, "do_sample": False}
    return config | {"output_type": "generate_until", "generation_kwargs": generation}


def _write(path: Path, text: str) -> None:
    """Writes a file unless it says just that already: data sets are cached by their files' times."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
