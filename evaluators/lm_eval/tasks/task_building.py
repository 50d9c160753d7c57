"""Builds lm-eval's tasks from benchmarks.

With `harness.py` the adapter to lm-eval: no other module imports it.  Here "task", "metric", "filter"
and "group" are lm-eval's words.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import datasets
import lm_eval.utils
from jinja2 import StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean
from lm_eval.api.registry import is_higher_better
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError, SplitError, UnknownMetricError
from evaluators.lm_eval.names.folder_tasks import OWN_DATA
from evaluators.lm_eval.names.index import Entry, check_code, is_collection, leaves_of
from evaluators.lm_eval.names.location import locate
from evaluators.lm_eval.rouge_l import offer_rouge_l
from evaluators.lm_eval.tasks.decoding_settings import check_draws, check_repeats, set_decoding
from evaluators.lm_eval.tasks.image_files import use_image_files
from evaluators.lm_eval.tasks.metric_discovery import aggregation_of
from evaluators.lm_eval.tasks.own_metrics import (
    OwnMetric,
    TokenMetric,
    check_own_metric,
    chosen_own_metric,
    in_the_tasks_words,
)
from evaluators.lm_eval.tasks.task_metrics import choose_metric, group_rule
from evaluators.lm_eval.tasks.task_questions import Subtask, Task, foreign_code
from evaluators.lm_eval.tasks.task_splits import divide, limit, rule_of
from evaluators.splits import NamedSplits


@dataclass(frozen=True, slots=True)
class BuiltBenchmark:
    """A benchmark whose task was found, built and divided.

    Attributes:
        metrics: Everything it can be scored by, as `metric,filter`; the chosen one first.
        own: The chosen metric, where it is none of the task's; the next of `metrics` marks single answers.
        group: lm-eval's group, which knows how its subtasks' scores are averaged; None for one task.
        public_test: The public test split that the search's items come from, if they come from one.
    """

    benchmark: Benchmark
    metrics: tuple[str, ...]
    higher_is_better: bool
    subtasks: tuple[Subtask, ...]
    group: Group | None = None
    public_test: str | None = None
    own: OwnMetric | None = None

    @property
    def metric(self) -> str:
        """The chosen metric, without its filter."""
        return self.metrics[0].partition(",")[0]

    @property
    def filter(self) -> str:
        """The chosen filter."""
        return self.metrics[0].partition(",")[2]

    @property
    def base_metric(self) -> str:
        """The task's metric that single answers are marked by, without its filter."""
        return self.metrics[0 if self.own is None else 1].partition(",")[0]


def build_benchmark(benchmark: Benchmark) -> BuiltBenchmark:
    """Finds and builds a benchmark's task, chooses its metric and divides its items.

    Raises:
        EvaluationError: The benchmark cannot be asked; names field, value and remedy.
    """
    tame_lm_eval()
    found = locate(benchmark.task, benchmark.task_folders)
    manager = found.manager
    if found.is_own:  # then the folders are none of its business
        benchmark = benchmark.model_copy(update={"include_path": None})
    _check_score(benchmark, manager)
    check_code(benchmark.task, manager.task_index, is_own=found.is_own)
    tasks, group = _load(benchmark, manager)
    for task in tasks:
        set_decoding(benchmark, task)
        check_draws(task)
    own = chosen_own_metric(benchmark, tasks)
    wanted = benchmark if own is None else in_the_tasks_words(benchmark, own)
    metrics, tasks = choose_metric(wanted, tasks, group)
    for task in tasks if own is None else ():
        check_repeats(task, metrics[0].partition(",")[2])
    fewer = isinstance(own, TokenMetric)
    declared = (
        not fewer and benchmark.direction is None and _direction(tasks[0], metrics[0].partition(",")[0])
    )
    higher_is_better = benchmark.higher_is_better(otherwise=declared)
    public_test = next((name for task in tasks if (name := _public_test(benchmark, task))), None)
    items = limit(benchmark, tasks, [divide(benchmark, task) for task in tasks])
    subtasks = tuple(
        Subtask(task, of_task, benchmark.chat) for task, of_task in zip(tasks, items, strict=True)
    )
    if own is not None:
        for subtask in subtasks:
            check_own_metric(own, subtask, metrics[0], higher_is_better=higher_is_better)
        metrics = (f"{own.name},{metrics[0].partition(',')[2]}", *metrics)
    return BuiltBenchmark(benchmark, metrics, higher_is_better, subtasks, group, public_test, own)


def _public_test(benchmark: Benchmark, task: Task) -> str | None:
    """Returns the name of a public data set's test split, where the search's items come from it."""
    if task.config.dataset_path in OWN_DATA or task.config.custom_dataset is not None:
        return None
    rule = rule_of(benchmark, task)
    if isinstance(rule, NamedSplits):
        name, public = rule.search, {"test", task.config.test_split}
    else:
        name, public = task.config.test_split or "", {"test", task.config.test_split}
    return f"{task.config.dataset_path}, split {name}" if name in public else None


@cache
def tame_lm_eval() -> None:
    """Makes lm-eval quiet, its templates safe and fast, and ROUGE-L known, in this process.

    lm-eval compiles a template each time it is used, and lets templates reach Python's insides.
    """
    for name in ("lm_eval", "datasets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    datasets.disable_progress_bars()
    sandbox = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    sandbox.filters.update(lm_eval.utils.env.filters)

    @lru_cache(maxsize=4096)
    def compiled(template: str) -> Template:
        return sandbox.from_string(template)

    def render(template: str, doc: Mapping[str, Any]) -> str:
        return compiled(template).render(**doc)

    lm_eval.utils.apply_template = render
    offer_rouge_l()


def _check_score(benchmark: Benchmark, manager: TaskManager) -> None:
    """Refuses a collection of tasks: it has no one score."""
    if is_collection(benchmark.task, manager.task_index):
        leaves = sorted(leaves_of(benchmark.task, manager.task_index))
        raise EvaluationError(
            "task",
            f"{benchmark.task} is a collection of {len(leaves)} tasks without a common score",
            f"make a benchmark of each that you want: {', '.join(leaves)}",
        )


def _load(benchmark: Benchmark, manager: TaskManager) -> tuple[list[Task], Group | None]:
    """Returns the tasks, and the group that they form if they form one."""
    name = benchmark.task
    with foreign_code(name):
        if manager.task_index[name].kind.name == "GROUP":
            group = manager.load([name])["groups"][name]
            tasks = list(group.get_all_tasks())
        else:
            group, tasks = None, [_load_task(benchmark, manager)]
    if not all(isinstance(task, ConfigurableTask) for task in tasks):
        raise EvaluationError(
            "task", f"{name} is written in Python alone", "choose a task that has a YAML file"
        )
    for task in tasks if benchmark.include_path is not None else ():
        use_image_files(task)
    return tasks, group


def _load_task(benchmark: Benchmark, manager: TaskManager) -> Task:
    overrides = _overrides(benchmark, manager.task_index[benchmark.task])
    try:
        # lm-eval overrides settings of a group's members only, so the task is put into a group.
        loaded = manager.load([{"group": "evomerge", "task": [{"task": benchmark.task, **overrides}]}])
    except KeyError as error:
        if error.args[:1] == (overrides.get("test_split"),):
            raise _no_scored_split(benchmark, error.args[0]) from error
        raise
    return next(iter(loaded["groups"]["evomerge"]))


def _no_scored_split(benchmark: Benchmark, missing: str) -> SplitError:
    return SplitError(
        "splits",
        f"{benchmark.task} names no test_split or validation_split, and its data have no split {missing!r}",
        "name one in the task's file",
    )


def _overrides(benchmark: Benchmark, entry: Entry) -> dict[str, Any]:
    """Returns what the task's file leaves to us: what is scored."""
    config = entry.cfg or {}
    if config.get("test_split") or config.get("validation_split"):
        return {}
    rule = benchmark.splits if isinstance(benchmark.splits, NamedSplits) else NamedSplits()
    return {"test_split": rule.search}


def _direction(task: Task, metric: str) -> bool:
    declared = task.higher_is_better()
    higher = declared.get(metric)
    if higher is None and not callable(task.config.process_results) and len(set(declared.values())) == 1:
        higher = next(iter(declared.values()))  # what a metric's function gives has the metric's direction
    if higher is None:
        higher = is_higher_better(metric)
    if higher is None:
        raise UnknownMetricError(
            "metric",
            f"nothing says whether {metric} should be high or low",
            "add higher_is_better to the task's file",
        )
    return bool(higher)


def is_mean(built: BuiltBenchmark) -> bool:
    """Says whether the score is the mean over its items, so that parts of it can be put together."""
    if any(aggregation_of(subtask.task, built.metric) is not mean for subtask in built.subtasks):
        return False
    return built.group is None or group_rule(built.group, built.base_metric, built.filter).weight_by_size
