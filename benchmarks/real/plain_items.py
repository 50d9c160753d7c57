"""A split's items put to a model by lm-eval's own `evaluate` and HFLM.

What plain lm-eval is not told by an experiment, it is told here: which of a task's items are meant, and
whether the chat template is applied.  Marking, filters and prompts are its own.  `simple_evaluate` would
index all of lm-eval's tasks and describe the machine each time, which is no part of asking.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval import evaluate
from lm_eval.models.huggingface import HFLM

from evaluators import Benchmark, Split
from evaluators.lm_eval.asked_sets import form_of
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark, build_benchmark
from evaluators.lm_eval.tasks.task_questions import Subtask
from evaluators.splits import NamedSplits, content_of

FEWSHOT_SEED = 1234  # that of lm-eval's command line


@dataclass(frozen=True, slots=True)
class PlainItems:
    """Benchmarks whose tasks were built once.

    Attributes:
        instruct: A parent's name says that it was trained on instructions.
    """

    built: Sequence[BuiltBenchmark]
    instruct: bool = False

    @classmethod
    def of(cls, benchmarks: Sequence[Benchmark], *, instruct: bool) -> PlainItems:
        """Builds the tasks."""
        return cls([build_benchmark(benchmark) for benchmark in benchmarks], instruct)

    def answers(self, lm: HFLM, split: Split) -> dict[str, list[float]]:
        """Returns each item's value, by benchmark, in the order of lm-eval's items."""
        return {built.benchmark.name: self._of(built, lm, split) for built in self.built}

    def _of(self, built: BuiltBenchmark, lm: HFLM, split: Split) -> list[float]:
        values: list[float] = []
        for subtask in built.subtasks:
            found = self._asked(built, subtask, lm, split)
            chosen = [sample for sample in found if sample["filter"] == built.filter]
            values += [float(sample[built.metric]) for sample in chosen if built.metric in sample]
        return values

    def _asked(
        self, built: BuiltBenchmark, subtask: Subtask, lm: HFLM, split: Split
    ) -> Sequence[Mapping[str, Any]]:
        task, chat = subtask.task, subtask.chat
        if isinstance(built.benchmark.splits, NamedSplits) or set(task.dataset) >= {
            "search",
            "selection",
            "test",
        }:
            rule = (
                built.benchmark.splits if isinstance(built.benchmark.splits, NamedSplits) else NamedSplits()
            )
            task.set_config("test_split", getattr(rule, split))
        form = form_of(subtask, lm.tokenizer, instruct=self.instruct)
        logging.disable(logging.WARNING)  # lm-eval warns of what was asked for here
        task.set_fewshot_seed(FEWSHOT_SEED)
        found: Any = evaluate(
            lm=lm,
            task_dict={"tasks": {task.config.task: task}},
            samples={task.config.task: _places(subtask, split)},
            system_instruction=chat.system,
            apply_chat_template=form is not None,
            fewshot_as_multiturn=form is not None and chat.fewshot_as_multiturn,
            bootstrap_iters=0,
            log_samples=True,
        )
        logging.disable(logging.NOTSET)
        samples: Sequence[Mapping[str, Any]] = found["samples"][task.config.task]
        return samples


def _places(subtask: Subtask, split: Split) -> list[int]:
    """Returns where a split's items stand among those that the task is scored on."""
    wanted = {content_of(item) for item in subtask.items[split]}
    places = {content_of(item): place for place, item in reversed(list(enumerate(subtask.task.eval_docs)))}
    return sorted(places[content] for content in wanted)
