"""Makes the whole problem: trains base and parents, draws the pictures, writes tasks and an experiment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from examples.language_and_vision.checkpoints import new_reader, reader_in, save, with_new_eyes
from examples.language_and_vision.pictures import draw
from examples.language_and_vision.training import Lesson, Part, train
from examples.language_and_vision.world import (
    IMAGE,
    IMAGE_TOKENS,
    Question,
    Thing,
    about_pictures,
    about_words,
    things,
)

SPLITS = ("search", "selection", "test")
LESSONS: Mapping[str, Lesson] = {
    "base": Lesson(steps=400, rate=3e-3),
    "vision": Lesson(steps=400, rate=2e-3),
    "language": Lesson(steps=250, rate=2e-3),
}
_EXPERIMENT = Path(__file__).parent / "experiment.yml"
OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything lies.

    Attributes:
        base: The common ancestor, a language model.
        vision: The parent that sees, and answers in English.
        language: The parent that speaks Z.
        tasks: The folder with task files and pictures.
        experiment: What is searched.
    """

    base: Path
    vision: Path
    language: Path
    tasks: Path
    experiment: Path


def make_everything(out: Path, seed: int = 0, *, on_progress: OnProgress = lambda _: None) -> Files:
    """Makes base, parents, pictures, tasks and the experiment's file.

    Args:
        out: Gets them.
        seed: Decides pictures, splits and weights.
        on_progress: Told what is trained next.
    """
    parents = out / "parents"
    files = Files(
        parents / "base", parents / "vision", parents / "language", out / "tasks", out / _EXPERIMENT.name
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are rounded differently with more
    try:
        _train(files, seed, on_progress)
    finally:
        torch.set_num_threads(threads)
    _write_tasks(files.tasks, seed)
    shutil.copyfile(_EXPERIMENT, files.experiment)
    return files


def _train(files: Files, seed: int, on_progress: OnProgress) -> None:
    on_progress("base")
    reader = new_reader(seed)
    train(reader, base_mixture(), LESSONS["base"], seed=seed)
    save(reader, files.base)
    on_progress("vision")
    seeing = with_new_eyes(reader_in(files.base), seed + 1)
    train(seeing, vision_mixture(), LESSONS["vision"], seed=seed + 1)
    save(seeing, files.vision)
    on_progress("language")
    speaking = reader_in(files.base)
    train(speaking, language_mixture(), LESSONS["language"], seed=seed + 2)
    save(speaking, files.language)


def base_mixture() -> list[Part]:
    """Returns what the base learns: descriptions in English, and a few words of Z."""
    return [
        Part(0.6, about_words(in_z=False)),
        Part(0.4, about_words(in_z=True, known=True)),
    ]


def vision_mixture() -> list[Part]:
    """Returns what the parent that sees learns: pictures, asked and answered in English."""
    return [Part(0.7, about_pictures(in_z=False)), *_scaled(base_mixture(), 0.3)]


def language_mixture() -> list[Part]:
    """Returns what the parent that speaks Z learns: descriptions in both languages, asked about in Z."""
    in_z = about_words(in_z=True, described_in=("english", "z"))
    return [Part(0.7, in_z), *_scaled(base_mixture(), 0.3)]


def _scaled(mixture: Sequence[Part], share: float) -> list[Part]:
    return [Part(part.share * share, part.questions) for part in mixture]


def _write_tasks(folder: Path, seed: int) -> None:
    """Writes one picture per thing, and both tasks; a thing is in the same split in both languages."""
    rng = np.random.default_rng(1000 + seed)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    names: dict[Thing, str] = {}
    for number, thing in enumerate(things()):
        names[thing] = f"pictures/{number}.png"
        draw(thing, rng).save(folder / names[thing])
    order = [things()[i] for i in rng.permutation(len(things()))]
    third = len(order) // 3
    parts = dict(zip(SPLITS, (order[:third], order[third : 2 * third], order[2 * third :]), strict=True))
    for task, in_z in (("pictures_z", True), ("pictures_english", False)):
        questions = about_pictures(in_z=in_z)
        files = {}
        for split, chosen in parts.items():
            files[split] = f"{task}_{split}.jsonl"
            rows = [_row(question, names) for question in questions if question.thing in chosen]
            (folder / files[split]).write_text(
                "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
            )
        text = yaml.safe_dump(_task(task, files), sort_keys=False, width=1000)
        (folder / f"{task}.yaml").write_text(text, encoding="utf-8")


def _row(question: Question, names: Mapping[Thing, str]) -> dict[str, str]:
    text = " ".join((IMAGE, *question.words[IMAGE_TOKENS:]))
    return {"image": names[question.thing], "question": text, "answer": question.answer}


def _task(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": dict(files)},
        "test_split": "search",
        "output_type": "generate_until",
        "doc_to_image": ["image"],
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": [], "max_gen_toks": 2, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }
