"""Settings of the user's that go before a task's own.  Here "task" and "filter" are lm-eval's words."""

from __future__ import annotations

from lm_eval.filters.selection import TakeFirstFilter

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError
from evaluators.inference.prompts import LENGTH_NAMES, GenerationSettings
from evaluators.lm_eval.tasks.own_metrics import AnswersMetric, own_metric
from evaluators.lm_eval.tasks.task_filters import answers_read, filters_of
from evaluators.lm_eval.tasks.task_questions import Task


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
        if wanted.get("temperature") and "do_sample" not in wanted:
            wanted["do_sample"] = True
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
