"""Scores a checkpoint on disk with plain lm-eval: nothing of evomerge takes part.

    python -m examples.rescore CHECKPOINT TASKS_FOLDER --split test TASK [TASK ...]

Prints one JSON object: task -> accuracy.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def rescore(checkpoint: Path, tasks_folder: Path, tasks: list[str], split: str) -> dict[str, float]:
    """Returns each task's accuracy on a split of its data set."""
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    results = simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=64),
        # A group of the tasks as they stand in their files, but asked on another split.
        tasks=[{"group": "again", "task": [{"task": task, "test_split": split} for task in tasks]}],
        task_manager=TaskManager(include_path=str(tasks_folder), include_defaults=False),
        bootstrap_iters=0,
        log_samples=False,
    )
    return {task: float(results["results"][task]["acc,none"]) for task in tasks}


def main() -> None:
    """Reads the command line and prints the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tasks_folder", type=Path)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    print(json.dumps(rescore(options.checkpoint, options.tasks_folder, options.tasks, options.split)))


if __name__ == "__main__":
    main()
