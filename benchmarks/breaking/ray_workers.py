"""Workers in Ray's processes that answer soon, in the place of those that load models."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from benchmarks.breaking.workforces import answer_of
from workers.pools.ray_cluster import Cluster, RemoteWorker
from workers.pools.ray_connection import RayConnection
from workers.pools.ray_pool import RayPool
from workers.protocol.messages import Assignment, Outcome, Workload

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 8,
    "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 16,
    "torch_dtype": "float32", "tie_word_embeddings": True,
}  # fmt: skip
HANGS = 3600.0  # seconds


class SwiftWorker:
    """What Ray runs in the place of `workers.pools.actor.Worker`.

    The environment of the controller says how long an answer takes, and which candidates hang once.
    """

    def __init__(self, name: str, *, threads: int | None = None, environment: dict[str, str]) -> None:  # noqa: ARG002
        self.name = name
        self.pace, self.hangs = float(environment["PACE"]), int(environment["HANGS"])

    def prepare(self, workload: Workload) -> int:  # noqa: ARG002
        """Returns the process id; nothing has to be readied."""
        return os.getpid()

    def work(self, assignment: Assignment) -> Outcome:
        """Scores the assignment, or hangs at the first attempt at it."""
        if self.hangs and assignment.number % self.hangs == 1 and assignment.attempt == 1:
            time.sleep(HANGS)
        time.sleep(self.pace)
        return answer_of(assignment, self.name)


class SwiftCluster(Cluster):
    """A real Ray with such workers."""

    worker_class = SwiftWorker

    def __init__(self, folder: Path, address: str | None, environment: Mapping[str, str]) -> None:
        self._environment = environment
        super().__init__(folder, address)

    def start(
        self,
        name: str,
        *,
        cpus: float,
        gpus: float,
        threads: int,
        environment: Mapping[str, str] | None = None,
    ) -> RemoteWorker:
        """Starts a worker's process, which is told its pace."""
        told = {**(environment or {}), **self._environment}
        return super().start(name, cpus=cpus, gpus=gpus, threads=threads, environment=told)


def ray_workforce(folder: Path, *, pace: float, hangs: int = 0, address: str | None = None) -> RayPool:
    """Returns a workforce of such workers; `folder` is where Ray's token is kept."""
    told = {"PACE": str(pace), "HANGS": str(hangs)}
    return RayPool(folder, connection=RayConnection(lambda: SwiftCluster(folder, address, told)))


def write_parents(folder: Path) -> Path:
    """Writes three checkpoints of a few numbers, of which workers look at the descriptions alone."""
    for name in ("base", "left", "right"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(CONFIG))
        weights = {
            f"model.layers.{layer}.mlp.up_proj.weight": np.zeros((8, 8), np.float32) for layer in range(4)
        }
        save_file(weights, folder / name / "model.safetensors")
    return folder
