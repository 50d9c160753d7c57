"""evaluate: checkpoints are asked whole tasks, in this process and without a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from evaluators.evaluations import EvaluationSettings
from search_spaces import Parent
from service.experiment.chat_options import ChatOptions
from workers.pools.actor import evaluate_here
from workers.protocol.evaluation_orders import EvaluationOrder, EvaluationReport

Model = str | PathLike[str] | Parent


def evaluate(
    models: Model | Sequence[Model],
    tasks: str | Sequence[str],
    *,
    parents: Sequence[Model] = (),
    tasks_path: Sequence[str | PathLike[str]] = (),
    num_fewshot: int | None = None,
    limit: float | None = None,
    apply_chat_template: bool | str = False,
    system_instruction: str | None = None,
    fewshot_as_multiturn: bool = True,
    gen_kwargs: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    device: str = "auto",
    batch_size: int = 64,
    log_samples: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> EvaluationReport:
    """Asks checkpoints whole tasks, as `evomerge evaluate` and lm-eval's `simple_evaluate` do.

    Args:
        models: Folders, `org/name` or `org/name@revision` of the Hub, one or several.
        tasks: lm-eval's names, or those of tasks in `tasks_path`.
        parents: Who each model is compared with, on the same items.
        tasks_path: Folders with task files of your own.
        num_fewshot: Solved examples before each question; None leaves it to the tasks.
        limit: Most items of each task; below 1, the share of them.
        apply_chat_template: Puts questions as the tokenizer's chat template does, or another one: one of
            the tokenizer's own by name, a built-in one by name, or a file.
        system_instruction: A system message.
        fewshot_as_multiturn: Examples are turns of the conversation, where a template is applied.
        gen_kwargs: Go before the tasks' own generation settings.
        dtype: Of the weights; None takes each model's own.
        device: `cpu`, `cuda`, `cuda:1` or `auto` (the first GPU, where there is one).
        batch_size: Rows of a pass.
        log_samples: Keeps every prompt and answer in the results.
        tell: Is told which model is next.

    Returns:
        Per model `results` as lm-eval gives them and its `table`, and the paired `differences`.

    Raises:
        WorkerError: A task cannot be asked, or a checkpoint cannot be loaded.
    """
    given = [models] if isinstance(models, str | PathLike | Parent) else list(models)
    settings = EvaluationSettings(
        tasks=(tasks,) if isinstance(tasks, str) else tuple(tasks),
        folders=tuple(str(Path(folder).expanduser().absolute()) for folder in tasks_path),
        shots=num_fewshot,
        limit=limit,
        chat=ChatOptions(
            apply=bool(apply_chat_template),
            template=apply_chat_template if isinstance(apply_chat_template, str) else None,
            system=system_instruction,
            fewshot_as_multiturn=fewshot_as_multiturn,
        ).chat,
        generation=gen_kwargs or {},
        batch_size=batch_size,
        keep_samples=log_samples,
    )
    everyone = tuple(map(_parent, given)), tuple(map(_parent, parents))
    return evaluate_here(EvaluationOrder(everyone[0], settings, everyone[1], dtype, device), tell)


def _parent(model: Model) -> Parent:
    if isinstance(model, Parent):
        return model
    if Path(model).expanduser().is_dir():
        return Parent(model=str(Path(model).expanduser().absolute()))
    return Parent.model_validate(str(model))
