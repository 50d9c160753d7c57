"""Evaluation of whole tasks by lm-eval's own `simple_evaluate`, with the network that a search asks.

Here "task", "group", "metric" and "filter" are lm-eval's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from lm_eval import simple_evaluate
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator_utils import get_sample_size
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.chat import Chat
from evaluators.errors import EvaluationError
from evaluators.evaluations import Evaluated, EvaluationSettings, TaskAnswers
from evaluators.inference.chat_format import ChatFormat, chat_format, check_template, check_think_end
from evaluators.inference.images.sight import Sight
from evaluators.lm_eval.model import EvomergeLM
from evaluators.lm_eval.names.data_access import data_problem
from evaluators.lm_eval.names.location import locate_all
from evaluators.lm_eval.names.task_files import task_code_allowed
from evaluators.lm_eval.tasks.decoding_settings import check_generation
from evaluators.lm_eval.tasks.image_files import check_images, use_image_files
from evaluators.lm_eval.tasks.task_building import tame_lm_eval
from evaluators.lm_eval.tasks.task_questions import Subtask, Task, foreign_code

Results = Mapping[str, Any]


class PlainEvaluation:
    """Whole tasks that are put to one model after the other.

    Args:
        settings: What is asked, and how.

    Attributes:
        tasks: What was loaded: stands for lm-eval's manager of tasks.

    Raises:
        EvaluationError: There is no such task, it would run foreign code, or its data cannot be had.
    """

    def __init__(self, settings: EvaluationSettings) -> None:
        tame_lm_eval()
        self._settings = settings
        if settings.limit is not None and settings.limit <= 0:
            raise EvaluationError("limit", f"{settings.limit:g} items are none", "ask one or more")
        folders = [Path(folder) for folder in settings.folders]
        manager = locate_all(settings.tasks, folders, _finish)
        with foreign_code(", ".join(settings.tasks)):
            self.tasks = _LoadedTasks(manager, settings.tasks)
        for task in self.tasks.found["tasks"].values():
            if isinstance(task, ConfigurableTask):
                check_generation(settings.generation, task)
        for task in self._seen:
            check_images(task, islice(task.eval_docs, get_sample_size(task, settings.limit)))

    @property
    def _seen(self) -> Sequence[Task]:
        return [task for task in self.tasks.found["tasks"].values() if getattr(task, "MULTIMODAL", False)]

    def check(self, tokenizer: PreTrainedTokenizerBase, sight: Sight | None) -> None:
        """Refuses, before its weights are read, a model that the tasks cannot be put to as is wanted.

        Raises:
            EvaluationError: Says why.
        """
        form = _applied_format(self._settings.chat, tokenizer)
        for task in self.tasks.found["tasks"].values():
            if isinstance(task, ConfigurableTask):
                self._try_prompts(task, form)
        if self._seen and sight is not None:
            _ = sight.processor  # loads it, or says what it lacks
        elif self._seen:
            named = ", ".join(str(task.task_name) for task in self._seen)
            detail = f"{named} asks about images, and the model only reads"
            raise EvaluationError("task", detail, "evaluate a model that sees, or leave the task out")

    def _try_prompts(self, task: Task, form: ChatFormat | None) -> None:
        """Puts all that will be asked, with as many examples as lm-eval will take."""
        settings, own = self._settings, task.config.num_fewshot
        if own is None or (own != 0 and settings.shots is not None):
            task.set_config("num_fewshot", settings.shots or 0)
        items = list(islice(task.eval_docs, get_sample_size(task, settings.limit)))
        Subtask(task, {"test": items}, settings.chat).try_prompts(form)

    def evaluate(self, name: str, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Evaluated:
        """Returns lm-eval's results of a model in memory.

        Raises:
            EvaluationError: A task cannot be built, or cannot be put to this model.
        """
        settings = self._settings
        form = _applied_format(settings.chat, tokenizer)
        lm = EvomergeLM(
            network,
            tokenizer,
            batch_size=settings.batch_size,
            template=form.template if form else None,
            template_options=form.options if form else None,
            think_end=settings.chat.think_end,
        )
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
                task_manager=self.tasks,
                num_fewshot=settings.shots,
                limit=settings.limit,
                apply_chat_template=settings.chat.apply == "on",
                system_instruction=settings.chat.system,
                fewshot_as_multiturn=settings.chat.fewshot_as_multiturn and settings.chat.apply == "on",
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


def _applied_format(chat: Chat, tokenizer: PreTrainedTokenizerBase) -> ChatFormat | None:
    """Returns how a model is spoken to; None where prompts are plain text.

    Raises:
        EvaluationError: The tokenizer has no such template, or it cannot be rendered as is wanted.
    """
    check_think_end(chat, tokenizer)
    if chat.apply != "on":
        return None
    check_template(chat, tokenizer)
    form = chat_format(chat, tokenizer, generates=True, instruct=False)
    if form is not None:
        told = [] if chat.system is None else [{"role": "system", "content": chat.system}]
        form.prompt([*told, {"role": "user", "content": "Who?"}])
    return form


class _LoadedTasks:
    """Stands for a manager, and gives what was loaded: tasks are the same for every model."""

    def __init__(self, manager: TaskManager, tasks: Sequence[str]) -> None:
        self.task_index = manager.task_index
        self.found: Mapping[str, Any] = manager.load(list(tasks))

    def load(self, _: object) -> Mapping[str, Any]:
        return self.found


def _finish(task: Task) -> None:
    if isinstance(task, ConfigurableTask):
        use_image_files(task)


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
