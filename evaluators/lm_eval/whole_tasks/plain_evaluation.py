"""Evaluation of whole tasks by lm-eval's own `simple_evaluate`, with the network that a search asks.

Here "task", "group", "metric" and "filter" are lm-eval's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from lm_eval import simple_evaluate
from lm_eval.utils import make_table
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.errors import EvaluationError
from evaluators.evaluations import Evaluated, EvaluationSettings, TaskAnswers
from evaluators.lm_eval.model import EvomergeLM
from evaluators.lm_eval.names.data_access import data_problem
from evaluators.lm_eval.names.location import locate_all
from evaluators.lm_eval.names.task_files import task_code_allowed
from evaluators.lm_eval.tasks.task_building import tame_lm_eval

Results = Mapping[str, Any]


class PlainEvaluation:
    """Whole tasks that are put to one model after the other.

    Args:
        settings: What is asked, and how.

    Raises:
        EvaluationError: There is no such task, or it would run foreign code.
    """

    def __init__(self, settings: EvaluationSettings) -> None:
        tame_lm_eval()
        self._settings = settings
        self._manager = locate_all(settings.tasks, [Path(folder) for folder in settings.folders])

    def evaluate(self, name: str, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Evaluated:
        """Returns lm-eval's results of a model in memory.

        Raises:
            EvaluationError: A task cannot be built, or cannot be put to this model.
        """
        settings = self._settings
        lm = EvomergeLM(
            network,
            tokenizer,
            batch_size=settings.batch_size,
            template_options=settings.template_options,
            think_end=settings.think_end,
        )
        if settings.chat:
            lm.chat_template(chat_template=True)  # refused at once where there is none
        began = perf_counter()
        results = self._asked(lm)
        seconds = perf_counter() - began
        tables = [make_table(results)] + ([make_table(results, "groups")] if results.get("groups") else [])
        answers = tuple(_answers(results))
        if not settings.keep_samples:
            results.pop("samples")
        results["config"]["model"], results["config"]["model_args"] = "evomerge", f"pretrained={name}"
        has_template = tokenizer.chat_template is not None
        return Evaluated(name, results, "\n".join(tables), answers, lm.cut, has_template, seconds)

    def _asked(self, lm: EvomergeLM) -> dict[str, Any]:
        settings = self._settings
        try:
            found: dict[str, Any] = simple_evaluate(
                model=lm,
                tasks=list(settings.tasks),
                task_manager=self._manager,
                num_fewshot=settings.shots,
                limit=settings.limit,
                apply_chat_template=settings.chat,
                system_instruction=settings.system,
                fewshot_as_multiturn=settings.fewshot_as_multiturn and settings.chat,
                gen_kwargs=dict(settings.generation) or None,
                batch_size=settings.batch_size,
                log_samples=True,
                confirm_run_unsafe_code=task_code_allowed(),
            )
        except EvaluationError:
            raise
        except Exception as error:
            problem: EvaluationError | None = data_problem(settings.tasks[0], error)
            if problem is None and isinstance(error, ValueError):  # what lm-eval refuses
                problem = EvaluationError("task", str(error), "choose other tasks or settings")
            if problem is None:
                raise
            raise problem from error
        return found


def _answers(results: Results) -> Iterator[TaskAnswers]:
    """Yields the numbers that items have, per task, metric and filter."""
    for task, samples in results["samples"].items():
        found: dict[str, dict[int, float]] = {}
        for sample in samples:
            for metric in sample["metrics"]:
                if isinstance(sample[metric], int | float | np.number | np.bool_):
                    of_metric = found.setdefault(f"{metric},{sample['filter']}", {})
                    of_metric[int(sample["doc_id"])] = float(sample[metric])
        for name, values in found.items():
            yield TaskAnswers(task, name, values, tuple(_groups_of(task, results)))


def _groups_of(task: str, results: Results) -> list[str]:
    """Returns the groups that a task is in, and those that these are in."""
    members: Mapping[str, list[str]] = results.get("group_subtasks") or {}
    found: list[str] = []
    waiting = [task]
    while waiting:
        name = waiting.pop()
        above = [group for group, within in members.items() if name in within and group not in found]
        found += above
        waiting += above
    return found
