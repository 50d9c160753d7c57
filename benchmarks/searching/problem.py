"""The demo problem as every contestant gets it: the same parents, tasks and objectives."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from examples.language_and_arithmetic import DemoFiles, make_everything

WEIGHTS: Mapping[str, float] = {"arithmetic_z": 2.0, "arithmetic_english": 1.0}
"""What is climbed: two thirds of the first task's accuracy and one third of the second's."""
EXPERTS = ("arithmetic", "language")
LAYERS = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """Where everything lies."""

    files: DemoFiles
    folder: Path

    @property
    def parents(self) -> list[Path]:
        """The experts' checkpoints, without the base."""
        return [self.files.experts[name] for name in EXPERTS]

    def with_own_paths(self, recipe: str) -> str:
        """Returns a recipe that names contestants' copies of the parents, naming the originals instead."""
        for path in (self.files.base, *self.parents):
            copy = rf"(?<=[\s'\"])/[^\s,'\"]*/{path.name}(_\d+)?(?=[\s,'\"]|$)"
            recipe = re.sub(copy, str(path), recipe)
        return recipe


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of one run, as its contestant told of it.

    Attributes:
        seconds: Since the run was ordered, its contestant's start-up left out.
        score: The weighted mean accuracy on the search split, from 0 to 1.
        recipe: mergekit's YAML, or our JSON.
    """

    contestant: str
    seed: int
    evaluation: int
    seconds: float
    score: float
    recipe: str

    @classmethod
    def read(cls, line: str) -> Trial:
        """Returns the trial that a contestant wrote as a line of JSON."""
        return cls(**json.loads(line))


def make_problem(folder: Path, *, quick: bool) -> Problem:
    """Trains the parents, unless they are there, and writes the tasks.

    Args:
        folder: Gets everything, also what the contestants write.
        quick: Parents that were hardly trained: for tests of the way, not for figures.
    """
    return Problem(make_everything(folder / "problem", quick=quick), folder)


def spec_of(problem: Problem, name: str, algorithm: str, seed: int, candidates: int) -> dict[str, Any]:
    """Returns our experiment: task arithmetic with weights of its own for each layer of each expert."""
    spec: dict[str, Any] = {
        "name": name,
        "base": str(problem.files.base),
        "parents": list(map(str, problem.parents)),
        "objectives": [{"task": task, "weight": weight} for task, weight in WEIGHTS.items()],
        "tasks_path": str(problem.files.tasks),
        "space": {
            "kind": "parameter",
            "method": "task_arithmetic",
            "layer_groups": LAYERS,
            "outer_genes": True,
            "bounds": {"weight": [0, 2]},
        },
        "optimizer": {"algorithm": algorithm},
        "budget": {"candidates": candidates},
        "examination": {"finalists": 1},
        "seed": seed,
    }
    if algorithm in {"map_elites", "cma_me", "cma_mae"}:
        spec["measures"] = [
            {"kind": "score", "objective": task, "low": 0, "high": 1, "cells": 8} for task in WEIGHTS
        ]
    return spec


def write_evolve_config(problem: Problem, folder: Path) -> Path:
    """Writes the same problem for mergekit-evolve: one weight per layer and expert, 16 numbers."""
    config = {
        "genome": {
            "models": list(map(str, problem.parents)),
            "base_model": str(problem.files.base),
            "merge_method": "task_arithmetic",
            "layer_granularity": 1,
            "normalize": False,
        },
        "tasks": [{"name": t, "weight": w, "metric": "acc,none"} for t, w in WEIGHTS.items()],
        "apply_chat_template": False,
        "fewshot_as_multiturn": False,
        "num_fewshot": 0,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "evolve.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def write_for_mergenetic(problem: Problem, folder: Path) -> dict[str, Any]:
    """Writes parents and tasks as the transformers and lm-eval of 2024 read them; returns their places.

    The weights stay the same; the tokenizer's class gets its older name, and the search items become the
    split `test`, the only one that mergenetic asks.
    """
    shutil.rmtree(folder, ignore_errors=True)
    parents = []
    for source in (problem.files.base, *problem.parents):
        copy = folder / "parents" / source.name
        shutil.copytree(source, copy)
        config = json.loads((copy / "tokenizer_config.json").read_text())
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        (copy / "tokenizer_config.json").write_text(json.dumps(config))
        parents.append(str(copy))
    tasks, sizes = folder / "tasks", {}
    tasks.mkdir()
    for name in WEIGHTS:
        task = yaml.safe_load((problem.files.tasks / f"{name}.yaml").read_text())
        data = task["dataset_kwargs"]["data_files"]["search"]
        task |= {"dataset_kwargs": {"data_files": {"test": data}}, "test_split": "test"}
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
        sizes[name] = len(Path(data).read_text().splitlines())
    return {"parents": parents, "tasks": str(tasks), "sizes": sizes, "weights": dict(WEIGHTS)}
