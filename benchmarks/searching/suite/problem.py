"""What a problem of the suite is: a spec over checkpoints that are made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.searching.families.making import Files

Spec = dict[str, Any]
NEED_MEASURES = ("map_elites", "cma_me", "cma_mae")
"""Quality-diversity algorithms: they are given the first two objectives' scores as axes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of the suite.

    Attributes:
        what: In a line, of which kind it is.
        make: From a folder to the spec without name, optimizer, budget and seed; trains what is not there.
        held_out: Kept out of tuning: nothing in an optimizer may be chosen by what it scores here.
        is_front: What counts is the front's hypervolume, not a winner's score.
    """

    name: str
    what: str
    make: Callable[[Path], Spec]
    held_out: bool = False
    is_front: bool = False

    def spec(self, folder: Path, algorithm: str, seed: int, candidates: int) -> Spec:
        """Returns the whole spec for one of our optimizers."""
        made = self.make(folder)
        if algorithm in NEED_MEASURES:
            made["measures"] = [
                {"kind": "score", "objective": one["task"], "low": 0, "high": 1, "cells": 8}
                for one in made["objectives"][:2]
            ]
        return made | {
            "name": f"{self.name}-{algorithm.replace(':', '-')}",
            "optimizer": {"algorithm": algorithm},
            "budget": {"candidates": candidates},
            "seed": seed,
        }


def spec_over(files: Files, objectives: list[Spec], space: Spec) -> Spec:
    """Returns a spec over a family's parents."""
    spec: Spec = {
        "parents": list(files.experts.values()),
        "objectives": objectives,
        "tasks_path": files.tasks,
        "space": space,
    }
    return spec | ({"base": files.base} if files.base else {})


def layerwise(groups: int, **more: object) -> Spec:
    """Returns the space of task arithmetic with a weight per parent and group of layers."""
    space: Spec = {"kind": "parameter", "method": "task_arithmetic", "layer_groups": groups}
    return space | {"bounds": {"weight": [0, 2]}} | more
