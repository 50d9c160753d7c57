"""What a genome file of mergekit-evolve (0.1.x) may say.  Values are taken as loosely as there."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from search_spaces.recipes.parent import HUB, Parent
from search_spaces.spaces.mergekit_genotype import GenotypeMethod

_LOCAL = (".", "/", "~")


def _reference(value: object) -> object:
    """Reads `model@revision+adapter@revision`, or the mapping that mergekit also takes for it.

    A plus divides any text here, as it does in mergekit.

    Raises:
        ValueError: It holds what we cannot take, or more than one plus.
    """
    if isinstance(value, dict):
        if value.get("override_architecture") is not None:
            raise ValueError("override_architecture is not supported; leave it out")
        model, adapter = _path(value.get("model")), _path(value.get("lora"))
        value = model if not adapter else f"{model}+{adapter}"
    if not isinstance(value, str):
        return value
    model, plus, adapter = value.partition("+")
    if plus and ("+" in adapter or not adapter):
        raise ValueError(f"{value!r:.200} is no model reference; write model or model+adapter")
    if plus and model.startswith(_LOCAL) and not adapter.startswith(_LOCAL):
        return f"{model}+{HUB}{adapter}"  # only so a folder's name cannot be meant
    return value


def _path(value: object) -> str:
    if isinstance(value, dict):
        revision = value.get("revision")
        return f"{value.get('path', '')}{f'@{revision}' if revision else ''}"
    return str(value or "")


Reference = Annotated[Parent, BeforeValidator(_reference)]


class EvolveTask(BaseModel):
    """A task: its name alone, or with weight and metric."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(min_length=1)]
    weight: float = Field(1.0, allow_inf_nan=False)
    metric: Annotated[str, Field(min_length=1)] = "acc,none"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class EvolveGenome(BaseModel):
    """What can be tried."""

    model_config = ConfigDict(frozen=True)

    models: Annotated[list[Reference], Field(min_length=1)]
    merge_method: GenotypeMethod
    base_model: Reference | None = None
    tokenizer_source: str | None = None
    layer_granularity: int = 0
    normalize: bool | None = None
    allow_negative_weights: bool = False
    filters: list[str] | None = None
    smooth: bool = False


class EvolveFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True)

    genome: EvolveGenome
    tasks: Annotated[list[EvolveTask], Field(min_length=1)]
    limit: Annotated[int, Field(ge=1)] | None = None
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    shuffle: bool = False
    random_init: bool = False
    apply_chat_template: bool = True
    fewshot_as_multiturn: bool = True


def known_keys(model: type[BaseModel]) -> list[str]:
    """Returns the keys of one of the file's mappings."""
    return list(model.model_fields)


def is_genome_file(content: Any) -> bool:  # noqa: ANN401 - YAML holds anything
    """Says whether a file is one of mergekit-evolve's, and none of ours."""
    return isinstance(content, dict) and "genome" in content and not {"parents", "objectives"} & set(content)
