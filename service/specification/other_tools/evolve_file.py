"""Reads a genome file of mergekit-evolve as an experiment, without a change to it.

The weighted sum of the tasks is climbed by CMA-ES from the same start with the same first step; each
task is an objective of its own beside it.  What the file asks for and is not done is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from search_spaces import Parent
from search_spaces.spaces.mergekit_genotype import GENE_SPAN
from service.errors import Mistake
from service.specification.other_tools.evolve_schema import (
    EvolveFile,
    EvolveGenome,
    EvolveTask,
    Reference,
    known_keys,
)
from service.specification.other_tools.translation import (
    Remark,
    Translation,
    UntranslatableError,
    ignored_keys,
    untranslatable,
)
from service.specification.reading import pointer_to, read_part

TOOL = "mergekit-evolve"
USUAL_EVALUATIONS = 100  # --max-fevals
USUAL_SIGMA = 1 / 6  # --sigma0
FEWEST_ITEMS = 50  # fewer are allowed here, for the file cannot say that they are meant

# Public benchmarks that mergekit-evolve refuses to search on, by how their names begin.
PUBLIC_BENCHMARKS = (
    "mmlu", "hendrycks", "agieval", "gsm8k", "hellaswag", "winogrande", "arc_", "ai2_arc",
    "truthfulqa", "bigbench", "piqa", "openbookqa", "leaderboard",
)  # fmt: skip
_LOWER_IS_BETTER = ("perplexity", "bits_per_byte", "brier")
_MERGED = ("layer_granularity", "normalize", "allow_negative_weights", "smooth")


def translate_evolve(content: Mapping[str, Any], *, allow_benchmarks: bool = False) -> Translation:
    """Returns the experiment that a genome file describes.

    Args:
        content: The file's.
        allow_benchmarks: Says nothing of public benchmarks.

    Raises:
        UntranslatableError: The file has mistakes, with which mergekit-evolve would fail as well.
    """
    try:
        file = EvolveFile.model_validate(content)
    except ValidationError as error:
        raise untranslatable(error) from error
    if mistakes := list(_mistakes(file)):
        raise UntranslatableError(mistakes)
    objectives, origins = _objectives(file)
    spec = {
        "parents": [_written(model) for model in file.genome.models],
        "space": _space(file),
        "objectives": objectives,
        "chat": _chat(file),
        "optimizer": {"algorithm": "cma_es", "sigma": USUAL_SIGMA / GENE_SPAN},
        "budget": {"candidates": USUAL_EVALUATIONS},
    }
    if file.genome.base_model is not None:
        spec["base"] = _written(file.genome.base_model)
    remarks = (*_ignored(content), *_remarks(file, allow_benchmarks=allow_benchmarks))
    return Translation(TOOL, spec, _origins(file) | origins, remarks)


def _mistakes(file: EvolveFile) -> Iterator[Mistake]:
    models = file.genome.models
    for place, model in enumerate(models):
        if models.index(model) < place:
            pointer = pointer_to("genome", "models", place)
            yield Mistake(pointer, "bad_value", f"{model} stands there twice", "name each model once")
    if file.genome.layer_granularity < 0:
        detail = f"{file.genome.layer_granularity} layers in a group"
        yield Mistake("/genome/layer_granularity", "bad_value", detail, "use 0 for one group of all layers")
    if not any(task.weight for task in file.tasks):
        yield Mistake("/tasks", "bad_value", "all weights are 0", "give one of the tasks a weight")


def _written(model: Parent) -> str | dict[str, Any]:
    """Returns a reference whose paths are still to be resolved."""
    plain = model.revision is None and model.adapter is None
    return model.model if plain else {key: value for key, value in dict(model).items() if value is not None}


def _space(file: EvolveFile) -> dict[str, Any]:
    genome = file.genome
    space: dict[str, Any] = {"kind": "mergekit_evolve", "method": genome.merge_method}
    space |= {key: value for key in _MERGED if (value := getattr(genome, key)) not in (None, False, 0)}
    if genome.normalize is False:
        space["normalize"] = False
    if genome.filters:
        space["filters"] = genome.filters
    if file.random_init:
        space["random_init"] = True
    if genome.base_model in genome.models:
        space["base_position"] = genome.models.index(genome.base_model)
    if genome.tokenizer_source is not None:
        space["tokenizer_source"] = _tokenizer_source(genome.tokenizer_source)
    return space


def _chat(file: EvolveFile) -> dict[str, Any]:
    """Returns how models are asked: as in a conversation, also where the file does not say so."""
    if not file.apply_chat_template:
        return {"apply": "off"}
    said = "apply_chat_template" in file.model_fields_set
    return {"apply": "on" if said else "available", "fewshot_as_multiturn": file.fewshot_as_multiturn}


def _tokenizer_source(text: str) -> Any:  # noqa: ANN401 - a word, a name or a reference
    read = None if text in ("base", "union") else read_part(Reference, text)
    return text if read is None else _written(read)


def _objectives(file: EvolveFile) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Returns one objective per task and metric, and where each stands in the file."""
    weights: dict[tuple[str, str], float] = {}
    places: dict[tuple[str, str], int] = {}
    for place, task in enumerate(file.tasks):
        key = (task.name, task.metric)
        weights[key] = weights.get(key, 0.0) + task.weight
        places.setdefault(key, place)
    counted = {key: weight for key, weight in weights.items() if weight}
    names = [name for name, _ in counted]
    objectives: list[dict[str, Any]] = []
    origins: dict[str, str] = {}
    for number, ((name, metric), weight) in enumerate(counted.items()):
        objective: dict[str, Any] = {"task": name, "metric": metric}
        if names.count(name) > 1:
            objective["name"] = f"{name} {metric}"
        # A negative weight is how a file says that less is better.
        objective |= {"direction": "maximize" if weight > 0 else "minimize", "weight": abs(weight)}
        if file.num_fewshot is not None:
            objective["num_fewshot"] = file.num_fewshot
        if file.limit is not None:
            objective["max_items"] = file.limit
        objectives.append(objective | {"allow_few_items": True})
        origins |= _objective_origins(number, places[name, metric])
    return objectives, origins


def _objective_origins(number: int, place: int) -> dict[str, str]:
    ours, theirs = pointer_to("objectives", number), pointer_to("tasks", place)
    return {
        ours: theirs,
        f"{ours}/task": f"{theirs}/name",
        f"{ours}/metric": f"{theirs}/metric",
        f"{ours}/weight": f"{theirs}/weight",
        f"{ours}/num_fewshot": "/num_fewshot",
        f"{ours}/max_items": "/limit",
    }


def _origins(file: EvolveFile) -> dict[str, str]:
    inside = ("tokenizer_source", "filters", *_MERGED)
    return {
        "/parents": "/genome/models",
        "/base": "/genome/base_model",
        "/objectives": "/tasks",
        "/space": "/genome",
        "/chat": "/apply_chat_template",
        "/chat/fewshot_as_multiturn": "/fewshot_as_multiturn",
        "/space/method": "/genome/merge_method",
        "/space/random_init": "/random_init",
        **{f"/space/{key}": f"/genome/{key}" for key in inside},
        **{f"/parents/{i}": f"/genome/models/{i}" for i in range(len(file.genome.models))},
        **{f"/space/filters/{i}": f"/genome/filters/{i}" for i in range(len(file.genome.filters or ()))},
    }


def _ignored(content: Mapping[str, Any]) -> Iterator[Remark]:
    yield from ignored_keys(content, known_keys(EvolveFile), "", TOOL)
    yield from ignored_keys(content["genome"], known_keys(EvolveGenome), "/genome", TOOL)
    for place, task in enumerate(content["tasks"]):
        if isinstance(task, Mapping):
            yield from ignored_keys(task, known_keys(EvolveTask), pointer_to("tasks", place), TOOL)


def _remarks(file: EvolveFile, *, allow_benchmarks: bool) -> Iterator[Remark]:
    count = len({(task.name, task.metric) for task in file.tasks if task.weight})
    climbed = "the task's score" if count == 1 else f"the weighted sum of {count} tasks"
    front = "" if count == 1 else "; each task is an objective of its own, so there is a front as well"
    yield Remark("", f"a file of {TOOL}: CMA-ES climbs {climbed}{front}")
    yield Remark(
        "/tasks",
        "each task's items are divided into three splits: search is climbed, selection picks the winner, "
        f"test is opened once and reported; {TOOL} climbs and reports the same items",
    )
    yield from _task_remarks(file, allow_benchmarks=allow_benchmarks)
    if file.limit is not None:
        yield Remark("/limit", f"at most {file.limit} items are asked of each split")
        if file.limit < FEWEST_ITEMS:
            text = f"scores on {file.limit} items are mostly luck: search on {FEWEST_ITEMS} or more"
            yield Remark("/limit", text, is_warning=True)
    if file.shuffle:
        yield Remark("/shuffle", "items are always drawn by their content, whatever their order")
    if file.random_init:
        text = "the start is drawn by the seed; a baseline that can be written in this space goes before it"
        yield Remark("/random_init", text)
    if file.apply_chat_template and "apply_chat_template" not in file.model_fields_set:
        text = f"the merged model's chat template is applied where it has one; {TOOL} fails where it has none"
        yield Remark("/apply_chat_template", text)


def _task_remarks(file: EvolveFile, *, allow_benchmarks: bool) -> Iterator[Remark]:
    for place, task in enumerate(file.tasks):
        pointer = pointer_to("tasks", place)
        public = task.name.startswith(PUBLIC_BENCHMARKS) and not task.name.endswith("_train")
        if public and not allow_benchmarks:
            text = f"{task.name} is a public benchmark: what is searched on it cannot be judged by it"
            yield Remark(pointer, text, is_warning=True)
        if task.weight == 0:
            text = f"{task.name} has weight 0: it counts for nothing and is not asked"
            yield Remark(pointer, text, is_warning=True)
        if task.weight > 0 and any(word in task.metric for word in _LOWER_IS_BETTER):
            text = f"{task.metric} is better when it is lower, and a weight above 0 searches for more of it"
            yield Remark(pointer, text, is_warning=True)
