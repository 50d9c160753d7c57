"""What is shown of merge methods, and of models that are looked at."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.catalogue.methods import METHODS, Method
from service.reports.views import View

if TYPE_CHECKING:
    from workers.compatibility.parent_facts import ParentFacts


class ParameterView(View):
    """A parameter of a merge method.

    Attributes:
        scope: `parent`: each parent has its own; `shared`: one for all.
        default: None where it must be given.
        low, high: Between which a search looks, unless it is told otherwise.
        searched: A search makes a gene of it.
    """

    name: str
    scope: str
    default: float | None
    low: float
    high: float
    searched: bool
    kind: Literal["number", "switch", "choice"]
    meaning: str
    choices: list[str]


class MethodView(View):
    """A merge method.

    Attributes:
        parents: How many it takes, in words.
        records: What a calibration pass must have recorded beside each parent.
        random: It draws masks, so that a recipe's seed matters.
        experimental: What keeps it from being the published method, where something does.
    """

    name: str
    title: str
    paper: str
    parents: str
    needs_base: bool
    takes_base: bool
    random: bool
    records: list[str]
    experimental: str
    parameters: list[ParameterView]


class MethodsView(View):
    """All merge methods."""

    items: list[MethodView]


class ModelView(View):
    """A model, as its config and the headers of its safetensors files describe it.

    Attributes:
        sizes: Width (`hidden`), attention `heads`, those of keys and values (`kv_heads`), and `mlp` units.
        dtypes: Bytes by number format, as safetensors writes it.
        tokens, rows: How many its tokenizer lists, and its embeddings have.
        context: Tokens of the longest text that it was made for.
        tied: Its output and input embeddings are one.
        made_from: The models that its files name as its base.
        here: Its weights lie on the service's machine.
    """

    model: str
    architecture: str
    model_type: str
    layers: int
    sizes: dict[str, int]
    parameters: int
    bytes: int
    dtypes: dict[str, int]
    tokens: int | None
    rows: int | None
    context: int | None
    rope: dict[str, Any]
    tied: bool
    multimodal: bool
    licence: str | None
    gated: bool | None
    made_from: list[str]
    revision: str | None
    here: bool


def methods_view() -> MethodsView:
    """Returns all merge methods, in the table's order."""
    return MethodsView(items=[_method(method) for method in METHODS.values()])


def _method(method: Method) -> MethodView:
    return MethodView(
        name=method.name,
        title=method.title,
        paper=method.paper,
        parents=method.parents_wanted,
        needs_base=method.needs_base,
        takes_base=method.needs_base or method.takes_base,
        random=method.random,
        records=list(method.records),
        experimental=method.experimental,
        parameters=[ParameterView.model_validate(asdict(each)) for each in method.parameters],
    )


def model_view(facts: ParentFacts, *, gated: bool | None) -> ModelView:
    """Returns a model as people see it."""
    content = asdict(facts)
    return ModelView.model_validate(content | {"model": content.pop("parent"), "gated": gated})
