"""Settings of the user's that go before a task's own.  Here "task" and "filter" are lm-eval's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval.filters.selection import TakeFirstFilter
from transformers import GenerationConfig

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError
from evaluators.inference.prompts import LENGTH_NAMES, GenerationSettings
from evaluators.lm_eval.names.suggestion import suggestion
from evaluators.lm_eval.tasks.own_metrics import AnswersMetric, own_metric
from evaluators.lm_eval.tasks.task_filters import answers_read, filters_of
from evaluators.lm_eval.tasks.task_questions import Task

_KNOWN = frozenset({*vars(GenerationConfig()), "until", "seed"})


def set_decoding(benchmark: Benchmark, task: Task) -> None:
    """Gives a task the generation settings and the beginning of answers that the user wants."""
    wanted = dict(benchmark.generation)
    repeats = wanted.pop("repeats", None)
    own = own_metric(benchmark.metric)
    if repeats is None and isinstance(own, AnswersMetric) and own.count > task.config.repeats:
        repeats = own.count
    if task.config.output_type == "generate_until":
        if repeats is not None:
            task.set_config("repeats", repeats)
        if any(name in wanted for name in LENGTH_NAMES):  # lm-eval takes the first of several
            kept = {k: v for k, v in (task.config.generation_kwargs or {}).items() if k not in LENGTH_NAMES}
            task.set_config("generation_kwargs", kept)
        if wanted.get("temperature") is not None and "do_sample" not in wanted:
            wanted["do_sample"] = wanted["temperature"] > 0
        if wanted:
            task.set_config("generation_kwargs", wanted, update=True)
    if benchmark.chat.gen_prefix is not None:
        task.set_config("gen_prefix", benchmark.chat.gen_prefix)
        task.fewshot_cfg.gen_prefix = benchmark.chat.gen_prefix


def check_draws(task: Task) -> None:
    """Refuses tokens that are drawn while beams are kept.

    Raises:
        EvaluationError: Says what to do.
    """
    if task.config.output_type == "generate_until":
        GenerationSettings.of_task(task.config.generation_kwargs or {}, None)


def check_generation(wanted: Mapping[str, Any], task: Task) -> None:
    """Refuses settings that lm-eval's command would hand to transformers, which does not know them.

    Args:
        wanted: They go before the task's own.
        task: Has the model write, or is left alone.

    Raises:
        EvaluationError: Says which one, and what to write.
    """
    if task.config.output_type != "generate_until":
        return
    for name in wanted:
        if name not in _KNOWN and name not in LENGTH_NAMES:
            remedy = suggestion(name, [*_KNOWN, *LENGTH_NAMES])
            if name == "repeats":
                remedy = "set it in the task's file: it is no setting of an answer"
            raise EvaluationError("generation", f"there is no setting {name!r}", remedy)
    try:
        GenerationSettings.of_task({**(task.config.generation_kwargs or {}), **wanted}, None)
    except (TypeError, ValueError) as error:
        raise EvaluationError("generation", str(error), "correct the setting") from error


def check_repeats(task: Task, kind: str) -> None:
    """Refuses answers that are asked for in vain, or are too few for the task's filters.

    Raises:
        EvaluationError: The filter keeps the first answer alone, or one of them takes more.
    """
    if task.config.output_type != "generate_until":
        return
    for each in filters_of(task):
        if (needed := answers_read(each)) > task.config.repeats:
            detail = f"filter {each.name} reads {needed} answers of each item"
            detail += f", which is asked {task.config.repeats} times"
            raise EvaluationError("generation.repeats", detail, f"write repeats: {needed}, or more")
    if task.config.repeats == 1:
        return
    chosen = next((one for one in filters_of(task) if one.name == kind), None)
    if chosen is None or type(chosen.filters[0]()) is not TakeFirstFilter:
        return
    others = [one.name for one in filters_of(task) if type(one.filters[0]()) is not TakeFirstFilter]
    remedy = f"use one of: {', '.join(others)}" if others else "leave generation.repeats out"
    detail = f"filter {kind} keeps the first of {task.config.repeats} answers alone"
    raise EvaluationError("filter", detail, remedy)
