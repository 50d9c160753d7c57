"""The fingerprint of how a benchmark's answers are marked.  Here "task", "metric", "group" are lm-eval's.

What is asked (items, prompts, decoding) is in the requests themselves; this is about all that turns
answers into a score: filter steps, metrics and their arguments, own functions, targets and choices,
aggregation, the metric's direction, a group's rules, and the libraries that do it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, requires
from typing import Any

from evaluators.fingerprints.code_origin import version_of
from evaluators.fingerprints.code_references import UnrepeatableError
from evaluators.fingerprints.values import fingerprint_of, unrepeatable_mark
from evaluators.lm_eval.tasks.image_files import ImageFiles
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark
from evaluators.lm_eval.tasks.task_questions import RememberedRendering, Task

# What names a task, or finds its items and examples: these are in the requests, wherever they came from.
_SETTINGS_ASKED = frozenset({
    "task", "task_alias", "tag", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs",
    "training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config", "num_fewshot",
    "process_docs", "description", "doc_to_decontamination_query", "should_decontaminate",
})  # fmt: skip
_PROMPTS = ("doc_to_text", "doc_to_image", "doc_to_audio")
_ATTRIBUTES_ASKED = frozenset({
    "_config", "DATASET_PATH", "DATASET_NAME", "dataset", "_training_docs", "_fewshot_docs", "fewshot_cfg",
    "fewshot_rnd", "sampler", "task_docs", "features", "_instances",
})  # fmt: skip
_log = logging.getLogger(__name__)


def marking_fingerprint(built: BuiltBenchmark) -> str:
    """Returns a hash of all that marks a benchmark's answers.

    Where something cannot be told from others like it, the hash equals no other, and the log says why.
    To be taken before the first answer is marked: lm-eval notes metrics on the task while it marks.
    """
    try:
        parts = [part for subtask in built.subtasks for part in _of_task(subtask.task)]
        return fingerprint_of(
            built.metrics[0], built.higher_is_better, _of_group(built.group), parts, _libraries()
        )
    except UnrepeatableError as error:
        _log.warning("scores on %s are not reused in other experiments: %s", built.benchmark.name, error)
        return unrepeatable_mark()


def _of_task(task: Task) -> Iterator[object]:
    """Yields a task's class, and its settings and attributes by name, without those that are asked."""
    yield type(task)
    config = task.config
    # Prompts are in the requests; as answers they are marked where a task has several inputs per item.
    asked = _SETTINGS_ASKED if task.multiple_input else _SETTINGS_ASKED.union(_PROMPTS)
    settings = {one.name: getattr(config, one.name) for one in fields(config) if one.name not in asked}
    about = dict(config.metadata) if isinstance(config.metadata, dict) else {"metadata": config.metadata}
    about.pop("config_source", None)  # where the task's file lies
    yield {**settings, "metadata": about}
    yield {
        name: value
        for name, value in sorted(vars(task).items())
        if name not in _ATTRIBUTES_ASKED and not isinstance(value, RememberedRendering | ImageFiles)
    }


def _of_group(group: Any) -> list[Any]:  # noqa: ANN401 - lm-eval's Group
    """Returns a group's rules, those of its groups included."""
    if group is None:
        return []
    return [list(each.aggregate_metric_list or ()) for each in (group, *group.get_all_groups())]


def _libraries() -> list[str]:
    """Returns the versions of lm-eval and of all that it may mark with."""
    try:
        named = requires("lm_eval") or []
    except PackageNotFoundError:
        named = []
    always = sorted({_distribution(one) for one in named if "extra ==" not in one})
    return [f"{name}={version_of(name)}" for name in ("lm_eval", "jinja2", "numpy", *always)]


def _distribution(requirement: str) -> str:
    """Returns the name in a requirement (`sacrebleu>=1.5`)."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower()
