"""Prompting: prompts and single items are put to merged models and parents, beside any search."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import torch

from evaluators import EvaluationError
from evaluators.chat import Chat
from evaluators.inference.chat_format import chat_format
from evaluators.inference.language_model import InMemoryModel
from search_spaces import Parent
from workers.errors import PromptError
from workers.protocol.messages import Workload
from workers.protocol.prompt_orders import (
    PromptAnswer,
    PromptAnswers,
    PromptedModel,
    PromptOrder,
    SampleAnswers,
    SampleOrder,
)
from workers.runtime.in_place_merger import InPlaceMerger
from workers.runtime.preparation import prepare_workload

if TYPE_CHECKING:
    from evaluators.lm_eval.harness import Harness

_APPLY = {"auto": "available", "on": "on", "off": "off"}


def answer_prompt(order: PromptOrder) -> PromptAnswers:
    """Returns each model's answer; what they share is in memory once.

    Raises:
        WorkerError: A parent or a recipe is unusable, or the prompt cannot be put to a model.
    """
    parents = dict.fromkeys(parent for model in order.models for parent in model.recipe.all_parents)
    prepared = prepare_workload(_workload(tuple(parents), order.dtype))
    merger = InPlaceMerger(prepared)
    try:
        return PromptAnswers(tuple(_answer(merger, model, order) for model in order.models))
    except EvaluationError as error:
        raise PromptError(error.field, error.detail, error.remedy) from error
    finally:
        merger.close()
        prepared.close()


def answer_items(order: SampleOrder) -> SampleAnswers:
    """Returns what a model answers to some items of each benchmark, with prompts as it sees them.

    Raises:
        WorkerError: A parent, the recipe or a benchmark is unusable.
    """
    workload = Workload(uuid4(), order.parents, order.benchmarks, dtype=order.dtype, batch_size=8)
    prepared = prepare_workload(workload)
    merger = InPlaceMerger(prepared)
    try:
        network, tokenizer = merger.merge(order.recipe)
        harness = cast("Harness", prepared.evaluator)  # of lm-eval's tasks alone
        sets = harness.item_sets(order.split, tokenizer=tokenizer)  # type: ignore[arg-type]
        items = tuple(_wanted(order, one.size) for one in sets)
        with torch.inference_mode():
            found = harness.shown(network, tokenizer, order.split, items)  # type: ignore[arg-type]
    except EvaluationError as error:
        raise PromptError(error.field, error.detail, error.remedy) from error
    finally:
        merger.close()
        prepared.close()
    names = [benchmark.name for benchmark in order.benchmarks]
    return SampleAnswers(tuple(zip(names, found, strict=True)))


def _wanted(order: SampleOrder, size: int) -> tuple[int, ...]:
    """Returns which items of a benchmark of this size are asked, in their order.

    Raises:
        PromptError: It has none of those that are wanted.
    """
    chosen = sorted({item for item in order.items or range(order.count) if item < size})
    if not chosen:
        detail = f"a task has {size} items in its {order.split} split, and none of {list(order.items)}"
        raise PromptError("items", detail, f"ask for places from 0 to {size - 1}")
    return tuple(chosen)


def _workload(parents: tuple[Parent, ...], dtype: str | None) -> Workload:
    return Workload(uuid4(), parents, benchmarks=(), evaluator="composite", dtype=dtype, batch_size=1)


def _answer(merger: InPlaceMerger, model: PromptedModel, order: PromptOrder) -> PromptAnswer:
    started = perf_counter()
    network, tokenizer = merger.merge(model.recipe)
    text = _as_seen(tokenizer, order)
    asked = InMemoryModel(network, tokenizer, batch_size=1)  # type: ignore[arg-type]  # transformers'
    wanted = {"max_gen_toks": order.max_tokens, "temperature": order.temperature, "seed": order.seed}
    with torch.inference_mode():
        (found,) = asked.plan_generations([(text, wanted)]).generated(asked.network)
    seconds = perf_counter() - started
    return PromptAnswer(model.label, text, found.text, found.tokens, found.truncated, seconds)


def _as_seen(tokenizer: Any, order: PromptOrder) -> str:  # noqa: ANN401 - transformers'
    """Returns the prompt as a model sees it."""
    chat = Chat(apply=_APPLY[order.chat], system=order.system)
    form = chat_format(chat, tokenizer, generates=True, instruct=False)
    if form is None and order.chat == "on":
        raise PromptError(
            "chat", "the model's tokenizer has no chat template", "leave it out, or put the prompt as text"
        )
    if form is None:
        return f"{order.system}\n\n{order.prompt}" if order.system else order.prompt
    system = [{"role": "system", "content": order.system}] if order.system else []
    return form.prompt([*system, {"role": "user", "content": order.prompt}])
