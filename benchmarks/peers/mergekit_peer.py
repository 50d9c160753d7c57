"""Runs inside mergekit's environment: merges recipes and says how long each took.

Reads one JSON object per line, `{"recipe": FILE, "out": FOLDER, "way": WAY, "save": BOOL}`, and answers
`{"seconds": ...}`.  The ways are its public function from disk to disk, with and without its thread that
writes, and what its evolution runs, in memory.  With `save` a result in memory is written, not timed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

# The protocol owns the real standard output; whatever the library prints goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def to_disk(config: Any, out: str, *, save: bool, asynchronously: bool = False) -> float:  # noqa: ANN401, ARG001
    """Merges by mergekit's public function; returns the seconds."""
    from mergekit.merge import MergeOptions, run_merge

    options = MergeOptions(
        quiet=True,
        copy_tokenizer=False,
        write_model_card=False,
        lazy_unpickle=True,
        async_write=asynchronously,
    )
    start = perf_counter()
    run_merge(config, out, options)
    return perf_counter() - start


def to_disk_asynchronously(config: Any, out: str, *, save: bool) -> float:  # noqa: ANN401
    """As `to_disk`, written by another thread."""
    return to_disk(config, out, save=save, asynchronously=True)


def in_memory(config: Any, out: str, *, save: bool) -> float:  # noqa: ANN401
    """Merges as mergekit's evolution does in memory; returns the seconds."""
    from mergekit.architecture import get_architecture_info
    from mergekit.graph import Executor
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import MergeOptions, _model_out_config
    from mergekit.plan import MergePlanner
    from safetensors.torch import save_file

    options = MergeOptions(quiet=True, lazy_unpickle=True)
    start = perf_counter()
    LoaderCache().setup(options=options)
    architecture = get_architecture_info(config, options)
    merged = _model_out_config(config, architecture)
    planner = MergePlanner(config, architecture, options=options, out_model_config=merged)
    executor = Executor(planner.plan_in_memory(), math_device="cpu", storage_device="cpu")
    tensors = {task.weight_info.name: tensor for task, tensor in executor.run(quiet=True)}
    seconds = perf_counter() - start
    if save:
        Path(out).mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, f"{out}/model.safetensors")
    return seconds


WAYS: Mapping[str, Callable[..., float]] = {
    "disk": to_disk,
    "disk, asynchronously": to_disk_asynchronously,
    "memory": in_memory,
}


def loosen_in_memory_task() -> None:
    """Lets the path in memory run: as released it fails, pydantic tries to build an abstract class."""
    from mergekit.io.tasks import ReturnTensor

    ReturnTensor.__annotations__["tensor_task"] = Any
    ReturnTensor.model_fields["tensor_task"].annotation = Any
    ReturnTensor.model_rebuild(force=True)


def main() -> None:
    """Answers until standard input ends."""
    import torch
    import yaml
    from mergekit.config import MergeConfiguration

    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1)))
    loosen_in_memory_task()
    for line in sys.stdin:
        request = json.loads(line)
        shutil.rmtree(request["out"], ignore_errors=True)
        config = MergeConfiguration.model_validate(yaml.safe_load(Path(request["recipe"]).read_text()))
        merge = WAYS[request.get("way", "disk")]
        seconds = merge(config, request["out"], save=request.get("save", False))
        ANSWERS.write(json.dumps({"seconds": seconds}) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
