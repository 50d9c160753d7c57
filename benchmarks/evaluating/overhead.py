"""What the second candidate of the same tasks costs beside the network, which is stubbed.

Ours: tasks, prompts, tokens and passes are kept, so only answers are filed.  Theirs: `simple_evaluate`
with a task manager that is shared, which builds tasks, prompts and tokens again.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import torch
import yaml
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks.evaluating.problems import Questions
from benchmarks.measuring.report import Samples, interleaved, timed
from evaluators.benchmark import Benchmark
from evaluators.inference.shared_prefixes.passes import Pass
from evaluators.lm_eval.harness import Harness
from evaluators.splits import NamedSplits

_ITEMS = 200
_CANDIDATES = 5  # per sample, so that a sample is not shorter than the clock's unrest


class _StubbedHFLM(HFLM):  # type: ignore[misc]
    """HFLM without a network: every answer is nought."""

    def _loglikelihood_tokens(self, requests: list[Any], **_: object) -> list[tuple[float, bool]]:
        return [(0.0, False)] * len(requests)


def second_candidate(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, repeats: int
) -> tuple[Samples, Samples]:
    """Returns our seconds and lm-eval's, 200 questions of four choices."""
    with tempfile.TemporaryDirectory(prefix="evomerge-bench-") as name:
        folder = Path(name)
        write_task(folder)
        benchmark = Benchmark(
            name="manual",
            task="manual",
            include_path=str(folder),
            splits=NamedSplits(search="search", selection="selection", test="test"),
        )
        harness = Harness([benchmark])
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        stubbed = _StubbedHFLM(pretrained=network, tokenizer=tokenizer, batch_size=64)

        def ours() -> float:
            gc.collect()  # what simple_evaluate left behind
            start = perf_counter()
            for _ in range(_CANDIDATES):
                harness.evaluate(network, tokenizer, "search")
            return (perf_counter() - start) / _CANDIDATES

        def theirs() -> None:
            simple_evaluate(
                model=stubbed, tasks=["manual"], task_manager=manager, bootstrap_iters=0, verbosity="ERROR"
            )

        with _without_network(), Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            ours()  # the first candidates
            theirs()
            mine, other = interleaved(max(repeats, 5), ours, timed(theirs))
    return mine, other


def write_task(folder: Path) -> None:
    """Writes a multiple-choice task with 200 items in its search split."""
    asked = Questions(1)
    files = {}
    for split, count in (("search", _ITEMS), ("selection", 60), ("test", 60)):
        rows = [_row(asked) for _ in range(count)]
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[split] = str(path)
    task = {
        "task": "manual",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
        "test_split": "search",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "doc_to_choice": "{{choices}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    (folder / "manual.yaml").write_text(yaml.safe_dump(task))


def _row(asked: Questions) -> dict[str, Any]:
    requests = asked.zero_shot(1)
    choices = [str(request.args[1]).strip() for request in requests]
    return {"question": requests[0].args[0], "choices": choices, "answer": len(choices[0]) % 4}


@contextmanager
def _without_network() -> Iterator[None]:
    """Has our passes answer nought at once, and no weights compared."""

    def nothing(_: object, batch: Pass, __: object) -> torch.Tensor:
        return torch.zeros(2, len(batch.tokens))

    with (
        patch("evaluators.inference.continuations.judge", nothing),
        patch("evaluators.inference.continuations.read_beginning", lambda *_: None),
        patch("evaluators.inference.first_layers.kept_states.layers_of", lambda _: ()),
    ):
        yield
