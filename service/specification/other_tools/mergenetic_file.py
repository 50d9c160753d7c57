"""Reads a configuration of mergenetic as an experiment, as far as it maps, and says what does not.

A configuration says models, tasks and sizes; the merge method and the algorithm stand in the script that
reads it.  Its scripts merge one model with the base by slerp (a genetic algorithm), and several by
DARE-TIES (NSGA-II).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from search_spaces.recipes.recipe import DType
from service.errors import Mistake
from service.specification.other_tools.translation import (
    Remark,
    Translation,
    UntranslatableError,
    ignored_keys,
    untranslatable,
)

TOOL = "mergenetic"
_FEWEST_POPULATION = 4  # its examples have populations of one, which none of our algorithms can learn from

NOT_MAPPED: Mapping[str, str] = {
    "mode": "scores are those of all chosen items: nothing is estimated from item response theory",
    "bench": "it names the parameters of an estimate that is not made",
    "thetas": "they are parameters of an estimate that is not made",
    "task_type": "it names the marking of its own data sets; tasks are lm-eval's here",
    "datasets": "its own tables are not read: write an lm-eval task for them (docs/evaluation.md)",
    "device": "workers take the GPUs that they find",
    "load_in_4bit": "candidates are evaluated in the merge's own format",
    "eager_mode": "attention is the one that transformers chooses",
    "path_to_store_config": "experiments are kept in the service's home (--home)",
    "path_to_store_merged_model": "candidates stay in memory; the winner is written by `evomerge export`",
    "force_evaluation": "what was scored is kept with the experiment",
}
"""What a configuration may say and is not done, and why."""


def _as_list(value: object) -> object:
    """Returns the models or tasks of a mapping by language, or of a list, in their order."""
    return list(value.values()) if isinstance(value, dict) else value


def _searched(value: object) -> object:
    """Returns the tasks that are searched on; `base` is a parent's own there."""
    if isinstance(value, dict) and isinstance(inner := value.get("search"), dict):
        return [task for language, task in inner.items() if language != "base"]
    return _as_list(value)


class MergeneticFile(BaseModel):
    """What is taken over."""

    model_config = ConfigDict(frozen=True)

    run_id: str | None = None
    pop_size: Annotated[int, Field(ge=1)]
    n_iter: Annotated[int, Field(ge=1)]
    models: Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
    base_model: str
    tasks: Annotated[list[str], BeforeValidator(_searched), Field(min_length=1)]
    metric: str | None = None
    langs: list[str] = []
    seed: Annotated[int, Field(ge=0)] = 420
    n_samples: Annotated[int, Field(ge=2)] = 20
    dtype: DType | None = None
    eval_batch_size: Annotated[int, Field(ge=1)] = 64
    additional_templates_folder: str | None = None


def is_mergenetic_file(content: Any) -> bool:  # noqa: ANN401 - YAML holds anything
    """Says whether a file is one of mergenetic's, and none of ours."""
    wanted = {"pop_size", "n_iter", "models"}
    return isinstance(content, dict) and wanted <= set(content) and "parents" not in content


def translate_mergenetic(content: Mapping[str, Any]) -> Translation:
    """Returns the experiment that a configuration describes, and what did not map.

    Raises:
        UntranslatableError: The configuration has mistakes, or is one of data sets without tasks.
    """
    if not content.get("tasks"):
        hint = "write an lm-eval task for each data set, and name them under tasks:"
        raise UntranslatableError([Mistake("/datasets", "unsupported", "there are no tasks", hint)])
    try:
        file = MergeneticFile.model_validate(content)
    except ValidationError as error:
        raise untranslatable(error) from error
    population = max(file.pop_size, _FEWEST_POPULATION)
    spec = {
        "parents": list(dict.fromkeys(file.models)),
        "base": file.base_model,
        "space": _space(file),
        "objectives": [_objective(file, task) for task in dict.fromkeys(file.tasks)],
        "optimizer": {"algorithm": "nsga2", "population": population},
        "budget": {"candidates": population * file.n_iter},
        "chat": {"apply": "off"},  # as mergenetic asks
        "seed": file.seed,
        "batch_size": file.eval_batch_size,
    }
    spec |= {} if file.run_id is None else {"name": file.run_id}
    spec |= {} if file.dtype is None else {"dtype": file.dtype}
    if file.additional_templates_folder is not None:
        spec["tasks_path"] = file.additional_templates_folder
    return Translation(TOOL, spec, _ORIGINS, tuple(_remarks(file, content)))


_ORIGINS: Mapping[str, str] = {
    "/parents": "/models",
    "/base": "/base_model",
    "/objectives": "/tasks",
    "/budget": "/n_iter",
    "/optimizer/population": "/pop_size",
    "/tasks_path": "/additional_templates_folder",
    "/batch_size": "/eval_batch_size",
    "/name": "/run_id",
    "/seed": "/seed",
    "/dtype": "/dtype",
}


def _mixed(file: MergeneticFile) -> int:
    return len({*file.models} - {file.base_model})


def _space(file: MergeneticFile) -> dict[str, Any]:
    if _mixed(file) == 1:
        # Its eleven variables: five points over the depth for attention and for the MLPs, and the rest.
        return {"method": "slerp", "layer_groups": 5, "smooth": True, "filters": ["self_attn", "mlp"]}
    return {"method": "dare_ties"}


def _objective(file: MergeneticFile, task: str) -> dict[str, Any]:
    metric = {} if file.metric is None else {"metric": file.metric}
    return {"task": task, **metric, "max_items": file.n_samples, "allow_few_items": True}


def _remarks(file: MergeneticFile, content: Mapping[str, Any]) -> Iterator[Remark]:
    one = _mixed(file) == 1
    method = "one model is merged with the base by slerp" if one else "several models are merged by DARE-TIES"
    yield Remark("", f"a file of {TOOL}: as in its scripts, {method}; --set space.method=... takes another")
    yield Remark(
        "/tasks",
        "each task is an objective; its items are divided into three splits: search is climbed, selection "
        "picks the winner, test is opened once and reported",
    )
    yield Remark("/n_samples", f"at most {file.n_samples} items are asked of each split")
    if file.pop_size < _FEWEST_POPULATION:
        text = f"a population of {file.pop_size} learns nothing; {_FEWEST_POPULATION} is taken"
        yield Remark("/pop_size", text, is_warning=True)
    for key, why in NOT_MAPPED.items():
        if key in content:
            yield Remark(f"/{key}", f"{key} is not taken over: {why}", is_warning=True)
    yield from ignored_keys(content, [*MergeneticFile.model_fields, *NOT_MAPPED], "", TOOL)
