"""Runs inside mergenetic's environment: its searcher with pymoo's genetic algorithm, once per seed.

    python mergenetic_search.py ORDER.json

Writes one JSON object per evaluation.  What is changed from outside: models are loaded by lm-eval's own
class for transformers where mergenetic wants vLLM on a GPU; merges may use the memory; and lm-eval's
index of tasks is built once: as shipped it is built four times per evaluation, for 20 seconds.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from time import perf_counter, time
from typing import Any

ANSWERS = os.fdopen(os.dup(1), "w")
NAME = "mergenetic"


def ready_process() -> None:
    """Lets it run without a GPU."""
    import lm_eval.tasks  # before its evaluator, which imports in a circle
    import torch

    torch.set_num_threads(1)
    once = cache(lm_eval.tasks.TaskManager)
    lm_eval.tasks.TaskManager = once
    import mergenetic.evaluation.lm_harness as harness
    from mergenetic.merging import merger

    harness.TaskManager = once
    sys.modules["lm_eval.evaluator"].TaskManager = once  # type: ignore[attr-defined]
    options = merger.MergeOptions
    merger.MergeOptions = lambda **named: options(**(named | {"low_cpu_memory": False}))


def tell(**what: Any) -> None:  # noqa: ANN401 - any JSON
    """Writes a line that the benchmark reads."""
    ANSWERS.write(json.dumps(what) + "\n")
    ANSWERS.flush()


def make_problem(order: dict[str, Any], merger: Any, seed: int) -> Any:  # noqa: ANN401 - foreign classes
    """Returns its merging problem with our objective: the weighted mean of the tasks' accuracies."""
    from lm_eval.models.huggingface import HFLM
    from mergenetic.evaluation.lm_harness import LmHarnessEvaluator
    from mergenetic.optimization import MergingProblem

    start, weights = perf_counter(), order["weights"]

    class Weighted(MergingProblem):  # type: ignore[misc]
        def load_model(self, path: Any, verbose: bool = True) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - mergenetic's
            return HFLM(pretrained=str(path), device="cpu", dtype="bfloat16", batch_size=64)

        def metrics_4_genotype(self, model: Any, tokenizer: Any = None) -> Any:  # noqa: ANN401, ARG002
            score = 0.0
            for task, weight in weights.items():
                evaluator = LmHarnessEvaluator(
                    task_name=task,
                    correctness_metric="acc",
                    sample_ids=list(range(order["sizes"][task])),
                    additional_templates_folder=order["tasks"],
                    batch_size=64,
                )
                score += weight * float(evaluator.evaluate(model).mean())
            score /= sum(weights.values())
            tell(
                contestant=NAME,
                seed=seed,
                evaluation=self.step,
                seconds=perf_counter() - start,
                score=score,
                recipe=Path(merger.path_to_store_yaml).read_text(),
            )
            return [-score], ""

        def test(self) -> None:
            """Nothing: the benchmark scores held-out items itself."""

    return Weighted(
        merger,
        search_df=None,
        n_var=len(order["parents"]) - 1,
        n_obj=1,
        xl=0.0,
        xu=2.0,
        device="cpu",
        load_in_4bit=False,
        use_lm_eval=True,
        eval_batch_size=64,
    )


def main() -> None:
    """Searches once per seed."""
    began = float(os.environ["BENCH_BEGAN"])
    order = json.loads(Path(sys.argv[1]).read_text())
    os.dup2(2, 1)
    ready_process()
    from mergenetic.merging import TaskArithmeticMerger
    from mergenetic.searcher import Searcher
    from pymoo.algorithms.soo.nonconvex.ga import GA

    tell(startup=time() - began)
    base, *parents = order["parents"]
    for seed in order["seeds"]:
        folder = Path(order["folder"]) / str(seed)
        (folder / "results").mkdir(parents=True, exist_ok=True)
        merger = TaskArithmeticMerger("run", base, parents, str(folder), str(folder / "models"), "bfloat16")
        problem = make_problem(order, merger, seed)
        population = order["population"]
        rounds = order["evaluations"] // population
        Searcher(problem, GA(pop_size=population), folder / "results", rounds, seed, "run", False).search()


if __name__ == "__main__":
    main()
