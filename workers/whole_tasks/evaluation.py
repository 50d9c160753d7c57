"""Evaluates checkpoints on whole tasks: each is loaded as a search loads its parents, asked, and let go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import torch

from evaluators.errors import EvaluationError
from evaluators.evaluations import Evaluated
from evaluators.lm_eval.whole_tasks.plain_evaluation import PlainEvaluation
from evaluators.lm_eval.whole_tasks.side_by_side import side_by_side
from search_spaces import Parent, Recipe, Slice, Source
from workers.protocol.evaluation_orders import EvaluationOrder, EvaluationReport
from workers.protocol.messages import Workload
from workers.protocol.task_orders import Tell
from workers.runtime.asked_models import asked_model
from workers.runtime.in_place_merger import InPlaceMerger
from workers.runtime.preparation import prepare_workload

_NO_EXPERIMENT = UUID(int=0)


def evaluate_checkpoints(order: EvaluationOrder, tell: Tell) -> EvaluationReport:
    """Returns what each checkpoint comes to, and how the models differ from the parents.

    Raises:
        EvaluationError: A task cannot be asked.
        WorkerError: A checkpoint cannot be loaded.
    """
    everyone = tuple(dict.fromkeys((*order.models, *order.parents)))
    evaluation = PlainEvaluation(order.settings)
    for model in everyone:
        _check(model, evaluation)
    found: dict[Parent, Evaluated] = {}
    for number, model in enumerate(everyone, 1):
        tell(f"{number}/{len(everyone)} {model}")
        with _in_memory(model, order) as (network, tokenizer), torch.inference_mode():
            found[model] = evaluation.evaluate(str(model), network, tokenizer)
    models = tuple(found[model] for model in order.models)
    parents = tuple(found[parent] for parent in order.parents)
    pairs = ((model, parent) for model in models for parent in parents if model is not parent)
    differences = tuple(each for pair in pairs for each in side_by_side(*pair))
    return EvaluationReport(models, parents, differences)


def _check(model: Parent, evaluation: PlainEvaluation) -> None:
    """Tries tokenizer and chat template before any weights are read."""
    asked = asked_model(model)
    try:
        evaluation.check(asked.tokenizers[0], asked.sights[0])
    except EvaluationError as error:
        raise EvaluationError(error.field, f"{model}: {error.detail}", error.remedy) from error


@contextmanager
def _in_memory(model: Parent, order: EvaluationOrder) -> Iterator[tuple[Any, Any]]:
    """Gives a checkpoint's network and tokenizer, for as long as the context lasts."""
    workload = Workload(
        _NO_EXPERIMENT,
        (model,),
        (),
        dtype=order.dtype,
        device=order.device,
        batch_size=order.settings.batch_size,
    )
    prepared = prepare_workload(workload)
    merger = InPlaceMerger(prepared)
    alone = Recipe(method="passthrough", slices=(Slice(sources=(Source(parent=model),)),), dtype=order.dtype)
    try:
        yield merger.merge(alone)
    finally:
        merger.close()
        prepared.close()
        if prepared.device.startswith("cuda"):
            torch.cuda.empty_cache()
