"""Runs inside mergekit's environment: `mergekit-evolve` on a machine without a GPU, once per seed.

    python mergekit_evolve_search.py CONFIG STORAGE TASKS EVALUATIONS WORKERS SEED [SEED ...]

Writes one JSON object per evaluation.  What is changed from outside, so that it runs here at all: vLLM's
class is only named, not there; `torch.cpu` gets an `empty_cache`; lm-eval is told that the device is the
processor; Ray is told of as many GPUs as there shall be workers.  Nothing of it makes it slower.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from time import perf_counter, time
from types import ModuleType
from typing import Any

ANSWERS = os.fdopen(os.dup(1), "w")
NAME = "mergekit-evolve"


def ready_process() -> None:
    """Does to each of Ray's processes what lets it run without a GPU."""
    import lm_eval
    import lm_eval.models
    import lm_eval.models.huggingface
    import torch

    absent = ModuleType("lm_eval.models.vllm_causallms")
    absent.VLLM = type("VLLM", (), {})  # type: ignore[attr-defined]
    sys.modules[absent.__name__] = absent
    lm_eval.models.vllm_causallms = absent
    lm_eval.simple_evaluate = partial(lm_eval.simple_evaluate, device="cpu")
    torch.cpu.empty_cache = lambda: None  # type: ignore[attr-defined]
    torch.set_num_threads(1)


def tell(**what: Any) -> None:  # noqa: ANN401 - any JSON
    """Writes a line that the benchmark reads."""
    ANSWERS.write(json.dumps(what) + "\n")
    ANSWERS.flush()


def main() -> None:
    """Evolves once per seed."""
    began = float(os.environ["BENCH_BEGAN"])
    config, storage, tasks, evaluations, workers, *seeds = sys.argv[1:]
    os.dup2(2, 1)
    ready_process()
    import ray

    ray.init(
        num_cpus=int(workers),
        num_gpus=int(workers),
        include_dashboard=False,
        runtime_env={"worker_process_setup_hook": ready_process},
    )
    from mergekit.scripts import evolve

    tell(startup=time() - began)
    for seed in map(int, seeds):
        evolve.ActorPoolEvaluationStrategy = _telling(evolve.ActorPoolEvaluationStrategy, seed)
        options = [
            *("--storage-path", str(Path(storage) / str(seed)), "--task-search-path", tasks),
            *("--max-fevals", str(int(evaluations) - 1), "--random-seed", str(seed)),
            *("--num-gpus", workers, "--batch-size", "64", "--no-merge-cuda", "--no-save-final-model"),
        ]
        _seed_everything(evolve, seed)
        evolve.main([config, *options], standalone_mode=False)
    ray.shutdown()


def _seed_everything(evolve: Any, seed: int) -> None:  # noqa: ANN401 - a foreign module
    """Gives CMA-ES the seed: `--random-seed` reaches the merge alone."""
    original = getattr(evolve.cma.fmin2, "func", evolve.cma.fmin2)

    def seeded(*args: Any, options: dict[str, Any], **named: Any) -> Any:  # noqa: ANN401
        return original(*args, options=options | {"seed": seed + 1}, **named)

    seeded.func = original  # type: ignore[attr-defined]
    evolve.cma.fmin2 = seeded


def _telling(strategy: Any, seed: int) -> Any:  # noqa: ANN401 - a foreign class
    """Returns the strategy, which also says what each evaluation came to, and when."""
    start, count = perf_counter(), 0
    original = getattr(strategy, "original", strategy)

    class Telling(original):  # type: ignore[misc, valid-type]
        def evaluate_genotypes(self, genotypes: Any) -> Any:  # noqa: ANN401
            nonlocal count
            found = []
            work = self.actor_pool.map(lambda actor, one: actor.evaluate_genotype.remote(one), genotypes)
            for genotype, result in zip(genotypes, work, strict=True):
                recipe = self.genome.genotype_merge_config(genotype).to_yaml()
                tell(
                    contestant=NAME,
                    seed=seed,
                    evaluation=count,
                    seconds=perf_counter() - start,
                    score=result["score"] / sum(task.weight for task in self.config.tasks),
                    recipe=recipe,
                )
                count += 1
                found.append(result)
            return found

    Telling.original = original
    return Telling


if __name__ == "__main__":
    main()
