"""All about a task, group or tag: data, sizes, metrics, and an item as a model sees it.

Here "task", "metric", "group" and "tag" are lm-eval's words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from evaluators.benchmark import Benchmark
from evaluators.lm_eval.asked_sets import form_of
from evaluators.lm_eval.benchmark_facts import facts_of
from evaluators.lm_eval.names.entries import entry_of
from evaluators.lm_eval.names.index import is_collection, members_of
from evaluators.lm_eval.names.location import locate
from evaluators.lm_eval.prompt_facts import Asked, with_prompts
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark, build_benchmark
from evaluators.lm_eval.tasks.task_questions import Question, Subtask
from evaluators.splits import SPLITS
from evaluators.task_facts import TaskDescription, TaskExample


def describe(benchmark: Benchmark, asked: Asked | None = None) -> TaskDescription:
    """Returns all about a benchmark's task; of a collection without a common score, what it consists of.

    Args:
        benchmark: The task, and how a search would ask it.
        asked: Whose tokenizer and template make the example's prompt; None shows plain text.

    Raises:
        EvaluationError: There is no such task, it cannot be built, or the model cannot be asked so.
    """
    index = locate(benchmark.task, benchmark.task_folders).manager.task_index
    found = TaskDescription(
        entry_of(benchmark.task, index),
        tuple(members_of(benchmark.task, index)),
        collection=is_collection(benchmark.task, index),
    )
    if found.collection:
        return found
    config = index[benchmark.task].cfg or {}
    return replace(
        _of_built(found, build_benchmark(benchmark), asked or Asked()),
        scored=str(config.get("test_split") or config.get("validation_split") or ""),
    )


def _of_built(found: TaskDescription, built: BuiltBenchmark, asked: Asked) -> TaskDescription:
    facts = with_prompts(facts_of(built), built, asked)
    first = built.subtasks[0]
    config = first.task.config
    return replace(
        found,
        splits=_splits(built.subtasks),
        divided=tuple((split, facts.items[split]) for split in SPLITS),
        metrics=built.metrics,
        higher_is_better=built.higher_is_better,
        shots=config.num_fewshot or 0,
        generation=_generation(first),
        asked=facts.prompts[0][1] if facts.prompts else "",
        example=_example(first, asked),
        warnings=facts.warnings,
    )


def _splits(subtasks: Sequence[Subtask]) -> tuple[tuple[str, int], ...]:
    sizes: Counter[str] = Counter()
    for subtask in subtasks:
        for name, items in (subtask.task.dataset or {}).items():
            sizes[str(name)] += len(items)
    return tuple(sizes.items())


def _generation(subtask: Subtask) -> str:
    if not subtask.generates:
        return ""
    return json.dumps(subtask.task.config.generation_kwargs or {}, default=str, ensure_ascii=False)


def _example(subtask: Subtask, asked: Asked) -> TaskExample:
    tokenizer = asked.tokenizers[0] if asked.tokenizers else None
    form = form_of(subtask, tokenizer, instruct=asked.instruct)
    (question,) = subtask.questions("search", form=form, most=1)
    kind = question.requests[0].request_type
    prompt = str(question.requests[0].args[0]) if kind != "loglikelihood_rolling" else ""
    return TaskExample(
        str(subtask.task.config.task),
        prompt,
        _continuations(question, kind),
        subtask.target_of(question.item),
        _tokens(tokenizer, prompt),
    )


def _continuations(question: Question, kind: str) -> tuple[str, ...]:
    """Returns what is compared, or scored whole."""
    if kind == "generate_until":
        return ()
    place = 0 if kind == "loglikelihood_rolling" else 1
    return tuple(str(request.args[place]) for request in question.requests)


def _tokens(tokenizer: PreTrainedTokenizerBase | None, prompt: str) -> int | None:
    """Returns how many tokens a prompt has; the begin-of-text token is never counted twice."""
    if tokenizer is None:
        return None
    begins = tuple(str(mark) for mark in (tokenizer.bos_token, tokenizer.eos_token) if mark)
    made: Any = tokenizer(prompt, add_special_tokens=not prompt.startswith(begins))
    return len(made["input_ids"])
