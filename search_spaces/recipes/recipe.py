"""Recipe: a complete description of one merged model, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces.catalogue.methods import Method, MethodParameter, method_named
from search_spaces.errors import RecipeError, SpaceError, UnknownNameError
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.settings import Number, Parameter, Parameters, Setting, first_value
from search_spaces.recipes.token_rule import TokenRule

DType = Literal["float32", "float16", "bfloat16"]
MOST_LAYERS = 10_000
NO_LAYERS = (0, 0)


class Source(BaseModel):
    """A run of layers of one parent, with that parent's parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: Parent
    layers: tuple[int, int] | None = None  # [start, end); None takes all; NO_LAYERS: what is outside them
    parameters: dict[str, Parameter] = {}

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if self.layers is not None:
            start, end = self.layers
            if not 0 <= start < end <= MOST_LAYERS and self.layers != NO_LAYERS:
                raise ValueError(
                    f"layers [{start}, {end}) hold no layer; the first number must be the smaller"
                )
        return self


class Slice(BaseModel):
    """Some layers of the merged model: the sources that are mixed to make them.

    Attributes:
        method: `passthrough` takes the one source as it is, whatever the recipe's method does elsewhere.
        input_scale: The hidden states are multiplied by it before they enter the slice's first layer
            (Akiba et al., arXiv 2403.13187, section 3.2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    method: Literal["passthrough"] | None = None
    input_scale: Annotated[Number, Field(gt=0)] = 1.0
    base: Parent | None = None  # overrides the recipe's base for this slice
    parameters: dict[str, Parameter] = {}

    def parents(self, base: Parent | None) -> tuple[Source, ...]:
        """Returns the sources that are not the base."""
        return tuple(source for source in self.sources if source.parent != base)

    @property
    def has_layers(self) -> bool:
        """Says whether it is more than what lies outside the layers."""
        return self.sources[0].layers != NO_LAYERS


class Recipe(BaseModel):
    """How to build one merged model from its parents.

    A recipe is a value: equal recipes describe bit-identical models, so the digest names the
    model wherever it is cached.  Slices are stacked in order.  Tensors before the layers (the
    embeddings) belong to the first slice, tensors after them (final norm, head) to the last; a slice
    of no layers is there for these alone.

    Raises:
        RecipeError: The method cannot be used with these parents or parameters.
        UnknownNameError: The method or one of the parameters is not declared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    version: Literal[1] = 1
    method: str
    slices: Annotated[tuple[Slice, ...], Field(min_length=1)]
    base: Parent | None = None
    parameters: dict[str, Parameter] = {}
    dtype: DType | None = None  # of the arithmetic; None: the parents' own
    out_dtype: DType | None = None
    tokenizer: Parent | None = None  # whose vocabulary the model gets; None: the one that all parents share
    vocabulary: Literal["union"] | None = None  # union: the tokenizer's, then what the others have beyond it
    pad_to_multiple_of: Annotated[int, Field(ge=1, le=65_536)] | None = None  # rows of the embeddings
    tokens: tuple[TokenRule, ...] = ()  # where the rows of single tokens come from
    untie_embeddings: bool = False  # gives tied parents a head of their own, a copy of the embeddings
    # auto: the one that most parents have; None: the tokenizer owner's, if it has one
    chat_template: Literal["auto"] | Parent | None = None
    chat_template_text: Annotated[str, Field(min_length=1, max_length=2**20)] | None = None  # instead of it
    vision: Parent | None = None  # whose vision tower and projector it gets; None: the tokenizer owner's
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        method = method_named(self.method)
        for problem in self._problems(method):
            raise problem
        # What changes nothing must not change the digest.
        if self.method == "passthrough":
            said = tuple(part.model_copy(update={"method": None}) for part in self.slices)
            object.__setattr__(self, "slices", said)
        if not method.random:
            object.__setattr__(self, "seed", 0)
        if self.vocabulary is not None and self.tokenizer == (self.base or self.slices[0].sources[0].parent):
            object.__setattr__(self, "tokenizer", None)
        if not method.needs_base and not method.takes_base:
            object.__setattr__(self, "tokenizer", self.tokenizer or self.base)
            object.__setattr__(self, "base", None)
            plain = tuple(part.model_copy(update={"base": None}) for part in self.slices)
            object.__setattr__(self, "slices", plain)
        elif not method.base_is_a_parent:
            without = tuple(
                part if part.method is not None else _without_listed_base(part, part.base or self.base)
                for part in self.slices
            )
            object.__setattr__(self, "slices", without)
        if self.vision == self.tokenizer_owner:
            object.__setattr__(self, "vision", None)
        return self

    def _problems(self, method: Method) -> Iterator[SpaceError]:
        if method.needs_base and self.base is None:
            yield missing_base(method)
        yield from stacking_problems(self.slices)
        for i, part in enumerate(self.slices):
            if part.method is not None and self.method != "passthrough":
                yield from copying_problems(part, f"slices.{i}")
                continue
            parents = [source.parent for source in part.sources]
            fields = (f"slices.{i}.sources", f"slices.{i}.base")
            yield from parent_problems(method, parents, part.base or self.base, fields=fields)
        yield from self._tokenizer_problems()
        yield from parameter_problems(method, self.parameters, "parameters")
        for i, part in enumerate(self.slices):
            yield from parameter_problems(method, part.parameters, f"slices.{i}.parameters")
            for j, source in enumerate(part.sources):
                field = f"slices.{i}.sources.{j}.parameters"
                yield from parameter_problems(method, source.parameters, field)

    def _tokenizer_problems(self) -> Iterator[RecipeError]:
        if self.chat_template is not None and self.chat_template_text is not None:
            detail = f"the text of a chat template is there, and {self.chat_template}"
            yield RecipeError("chat_template", detail, "keep one of them")
        told = [rule.token for rule in self.tokens]
        known = self.merged_parents
        for rule in self.tokens:
            field = f"tokenizer.tokens.{rule.token}"
            if told.count(rule.token) > 1:
                yield RecipeError(field, "the token has two rules", "keep one of them")
            if rule.source is not None and rule.source not in known:
                detail = f"{rule.source} is none of the models that are merged"
                yield RecipeError(field, detail, "take the row from one of them")

    @cached_property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal, of the canonical JSON."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    def canonical_json(self) -> str:
        """Returns the one text that equal recipes share: sorted keys, no spaces, no defaults."""
        content = self.model_dump(mode="json", exclude_defaults=True) | {"version": self.version}
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @property
    def has_scales(self) -> bool:
        """Says whether hidden states are scaled on their way."""
        return any(part.input_scale != 1.0 for part in self.slices)

    @property
    def all_parents(self) -> tuple[Parent, ...]:
        """Every checkpoint the recipe reads, each once, in order of appearance; the base last.

        Includes those that only give their tokenizer, chat template or vision tower.
        """
        found = list(self._mixed())
        found += [parent for parent in (self.tokenizer, self.vision) if parent is not None]
        found += [self.chat_template] if isinstance(self.chat_template, Parent) else []
        return self._with_base_last(found)

    @property
    def merged_parents(self) -> tuple[Parent, ...]:
        """Those of `all_parents` whose weights are merged, or which they are merged around."""
        return self._with_base_last(self._mixed())

    def _mixed(self) -> Iterator[Parent]:
        yield from (source.parent for part in self.slices for source in part.sources)
        yield from (part.base for part in self.slices if part.base is not None)

    def _with_base_last(self, parents: Iterable[Parent]) -> tuple[Parent, ...]:
        found = [parent for parent in parents if parent != self.base]
        return tuple(dict.fromkeys((*found, *([self.base] if self.base is not None else []))))

    @property
    def tokenizer_owner(self) -> Parent:
        """The checkpoint whose configuration and tokenizer the merged model takes."""
        return self.tokenizer or self.base or self.slices[0].sources[0].parent

    def parent_value(self, name: str, part: Slice, source: Source, tensor: str, depth: float) -> float | None:
        """Resolves a per-parent parameter: source, slice, recipe, then the method's default."""
        return self._value((source.parameters, part.parameters, self.parameters), name, tensor, depth)

    def shared_value(self, name: str, part: Slice, tensor: str, depth: float) -> float | None:
        """Resolves a parameter that all parents share: slice, recipe, then the method's default."""
        return self._value((part.parameters, self.parameters), name, tensor, depth)

    def _value(self, levels: Sequence[Parameters], name: str, tensor: str, depth: float) -> float | None:
        declared = method_named(self.method).parameter(name)
        found = first_value(levels, name, tensor, depth, in_steps=declared.kind != "number")
        return found if found is not None else declared.default


def _without_listed_base(part: Slice, base: Parent | None) -> Slice:
    """Drops a base that is listed with the parents' layers, as mergekit asks: it is read anyway."""
    others = part.parents(base)
    listed = [source for source in part.sources if source.parent == base]
    if not listed or not others or listed[0].layers != others[0].layers:
        return part
    return part.model_copy(update={"sources": others})


def missing_base(method: Method, field: str = "base") -> RecipeError:
    """Returns the complaint about a recipe without the base that its method needs."""
    return RecipeError(field, f"{method.name} needs a base model", "name the parents' common ancestor")


def stacking_problems(slices: Sequence[Slice]) -> Iterator[RecipeError]:
    """Yields what keeps slices from standing on each other."""
    first = next((i for i, part in enumerate(slices) if part.has_layers), None)
    if first is None:
        yield RecipeError("slices", "they hold no layer", "give one of them a range of layers")
    depth = sum(end - start for part in slices for start, end in [part.sources[0].layers or (0, 0)])
    if depth > MOST_LAYERS:
        yield RecipeError("slices", f"they hold {depth} layers", f"a model has at most {MOST_LAYERS}")
    for i, part in enumerate(slices):
        ranges = [source.layers or () for source in part.sources]
        if NO_LAYERS in ranges and set(ranges) != {NO_LAYERS}:
            yield RecipeError(
                f"slices.{i}.sources", "some have layers and some have none", "give all of them as many"
            )
        if part.input_scale != 1.0 and (i == first or not part.has_layers):
            # A small scale on the embeddings would meet the first norm's epsilon.
            what = "what enters the first layer" if part.has_layers else "the input of no layer"
            detail = f"{part.input_scale:g} scales {what}"
            yield RecipeError(f"slices.{i}.input_scale", detail, "leave it out here; scale a later slice")


def copying_problems(part: Slice, field: str) -> Iterator[RecipeError]:
    """Yields what keeps a slice of method `passthrough` in another method's recipe from being a copy."""
    if len(part.sources) != 1:
        detail = f"passthrough takes exactly 1 parent, got {len(part.sources)}"
        yield RecipeError(f"{field}.sources", detail, "keep one of them, or leave the slice's method out")
    if part.parameters or part.sources[0].parameters or part.base is not None:
        remedy = "leave base and parameters out"
        yield RecipeError(field, "a slice that is copied has no base and no parameters", remedy)


def parent_problems(
    method: Method,
    parents: Sequence[Parent],
    base: Parent | None,
    *,
    fields: tuple[str, str] = ("sources", "base"),
) -> Iterator[RecipeError]:
    """Yields what keeps a method from mixing these parents; `fields` is where they and the base stand."""
    if len(set(parents)) < len(parents):
        twice = next(parent for parent in parents if parents.count(parent) > 1)
        yield RecipeError(fields[0], f"{twice} stands there twice", "name each parent once per slice")
    others = [parent for parent in parents if parent != base]
    apart = (method.needs_base or method.takes_base) and not method.base_is_a_parent
    count = (len(others) or len(parents)) if apart else len(parents)
    if method.base_is_a_parent and base is not None and base not in parents:
        yield RecipeError(
            fields[1], f"{method.name} starts from a parent, not from {base}", "name one of them"
        )
    most = method.most_parents
    if count < method.fewest_parents or (most is not None and count > most):
        detail = f"{method.name} takes {method.parents_wanted}, got {count}"
        yield RecipeError(fields[0], detail, "change the list")


def parameter_problems(method: Method, parameters: Parameters, field: str) -> Iterator[SpaceError]:
    """Yields the parameters that the method does not declare, and values outside their domain."""
    declared = {parameter.name: parameter for parameter in method.parameters}
    for name, parameter in parameters.items():
        if name not in declared:
            yield UnknownNameError(f"{field}.{name}", f"parameter of {method.name}", name, declared)
            continue
        for setting in parameter:
            problem = _value_problem(declared[name], setting, f"{field}.{name}")
            if problem is not None:
                yield problem


def value_problems(declared: MethodParameter, value: float, field: str) -> Iterator[RecipeError]:
    """Yields why a number is no value of a parameter; nothing where it is one."""
    problem = _value_problem(declared, Setting(value=value), field)
    if problem is not None:
        yield problem


def _value_problem(declared: MethodParameter, setting: Setting, field: str) -> RecipeError | None:
    values = setting.value if isinstance(setting.value, tuple) else (setting.value,)
    if declared.kind == "switch" and any(value not in (0.0, 1.0) for value in values):
        return RecipeError(field, f"{declared.name} is on or off, got {setting.value}", "write true or false")
    if declared.kind == "choice" and setting.value not in range(len(declared.choices)):
        words = ", ".join(declared.choices)
        return RecipeError(
            field, f"{declared.name} is one of a few words, got {setting.value}", f"write {words}"
        )
    if declared.whole and (isinstance(setting.value, tuple) or setting.value != int(setting.value)):
        detail = f"{declared.name} is {setting.value}, which is no whole number"
        return RecipeError(field, detail, "write one, without a gradient")
    least, most = declared.least, declared.most
    outside = [v for v in values if (least is not None and v < least) or (most is not None and v > most)]
    if outside:
        allowed = (
            f"at least {least:g}" if most is None else f"{0.0 if least is None else least:g} to {most:g}"
        )
        if least is None and most is not None:
            allowed = f"at most {most:g}"
        return RecipeError(field, f"{declared.name} is {outside[0]:g}, out of its range", f"use {allowed}")
    return None
