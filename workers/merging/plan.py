"""The merge plan: from a recipe, which tensors feed which, and with what coefficients.

Made from the parents' layouts, before any weight is read.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.catalogue.methods import Method, method_named
from search_spaces.recipes.idle_filters import idle_filters
from workers.checkpoints.architecture.foldable import rule_for
from workers.checkpoints.inspection import is_tied
from workers.checkpoints.layout import Layout, TensorEntry
from workers.checkpoints.number_formats import TORCH_NAMES
from workers.errors import MergeError, MismatchError
from workers.merging.fit import (
    Member,
    check_same_length,
    check_structure,
    check_tensors,
    is_buffer,
    is_mergeable,
    layer_range,
)

_log = logging.getLogger(__name__)

_HEADS = ("lm_head.weight", "embed_out.weight")
_BEFORE_THE_LAYERS = ("embed", "wte", "wpe", "project_in")


@dataclass(frozen=True, slots=True)
class Input:
    """A parent's tensor that goes into a merged one.

    Attributes:
        arrangement: Names the order of its rows, where that is not the checkpoint's: tensors of one
            name and different arrangements are different tensors.
    """

    parent: Parent
    tensor: str
    arrangement: str = ""

    def __hash__(self) -> int:
        """Returns the hash of two words, which know theirs: inputs are looked up for every candidate."""
        return hash((self.parent.model, self.tensor))


@dataclass(frozen=True, slots=True)
class Fold:
    """What a merged tensor W becomes when scales are folded into it: (W + offset) / divisor - offset."""

    divisor: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """How to make one tensor of the merged model.

    Attributes:
        name: Its name in the merged model.
        kernel: A key of KERNELS, or None: the one input is copied as it is (buffers, whole numbers).
        inputs: What the kernel mixes, in the recipe's order; for slerp the start, then the end.
        base: The common ancestor's tensor, for methods on task vectors.
        per_parent: Parameter -> one number per input.
        shared: Parameter -> number.
        choices: Parameter -> the word chosen.
        seeds: One per input, 64 bits, where the method draws masks.
        dtype: What inputs are cast to first, as torch names it; None leaves them as they are.
        out_dtype: What the result is rounded to, once.
        fold: What is done to the merged numbers before they are rounded.
    """

    name: str
    shape: tuple[int, ...]
    kernel: str | None
    inputs: tuple[Input, ...]
    base: Input | None = None
    per_parent: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    shared: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    dtype: str | None = None
    out_dtype: str | None = None
    fold: Fold | None = None


@dataclass(frozen=True, slots=True)
class MergePlan:
    """How to make a merged model.

    Attributes:
        tensors: In the model's order: embeddings, layers, the rest.
        layers: How many layers the merged model has.
        owner: The checkpoint whose configuration and tokenizer it takes.
        input_scales: One per layer: what the hidden states are multiplied by before they enter it.
    """

    tensors: tuple[TensorPlan, ...]
    layers: int
    owner: Layout
    input_scales: tuple[float, ...] = ()


def plan_merge(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> MergePlan:
    """Returns the plan for a recipe over these parents.

    Raises:
        MismatchError: The parents do not fit together, or the recipe asks for layers they lack.
        MergeError: A parameter has no value for some tensor, a filter is part of no tensor's name, or
            the recipe scales layers of an architecture that scales cannot be folded into.
    """
    sighted = () if recipe.vision is None else (recipe.vision,)
    needed = dict.fromkeys((*recipe.merged_parents, recipe.tokenizer_owner, *sighted))
    for parent in needed:
        if parent not in layouts:
            known = ", ".join(str(known) for known in layouts)
            raise MismatchError(str(parent), "was not loaded", f"the recipe can use: {known}")
    check_structure([layouts[parent] for parent in needed])
    plan = _Planner(recipe, {parent: layouts[parent] for parent in needed}).plan()
    check_filters(recipe, plan.tensors)
    if recipe.has_scales:
        rule_for(plan.owner.architecture)
    return plan


def mask_seed(seed: int, parent: Parent, tensor: str) -> int:
    """Returns the 64-bit seed of a parent's mask, which depends on nothing but these three."""
    text = f"{seed}\n{parent}\n{tensor}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class _Block:
    """A slice of the recipe with its layer ranges looked up: parent -> first layer."""

    part: Slice
    base: Parent | None
    starts: Mapping[Parent, int]
    length: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor is made: a layer inside a block, or (layer None) outside the layers."""

    block: _Block
    layer: int | None
    number: int | None
    depth: float


class _Planner:
    def __init__(self, recipe: Recipe, layouts: Mapping[Parent, Layout]) -> None:
        self.recipe, self.layouts = recipe, layouts
        self.method: Method = method_named(recipe.method)
        self.owner = layouts[recipe.tokenizer_owner]
        self.eyes = layouts[recipe.vision or recipe.tokenizer_owner]
        self._contents = {parent: _by_layer(layout) for parent, layout in layouts.items()}
        self._blocks = [self._block(i, part) for i, part in enumerate(recipe.slices)]

    def plan(self) -> MergePlan:
        first, last = self._blocks[0], self._blocks[-1]
        before = [*self._tensors_at(_Place(first, None, None, 0.0), before=True)]
        after = [*self._tensors_at(_Place(last, None, None, 0.0), before=False)]
        layered: list[TensorPlan] = []
        number = 0
        for block in self._blocks:
            for layer in range(block.length):
                depth = layer / (block.length - 1) if block.length > 1 else 1.0
                layered += self._tensors_at(_Place(block, layer, number, depth))
                number += 1
        return MergePlan((*before, *layered, *after), number, self.owner, self._input_scales())

    def _input_scales(self) -> tuple[float, ...]:
        """The scale of a slice acts at the input of its first layer."""
        scales: list[float] = []
        for block in self._blocks:
            scales += [block.part.input_scale, *[1.0] * (block.length - 1)][: block.length]
        return tuple(scales)

    def _block(self, number: int, part: Slice) -> _Block:
        ranges = [(s.parent, layer_range(s, self.layouts[s.parent])) for s in part.sources]
        check_same_length(ranges, f"slice {number}")
        starts = {parent: start for parent, (start, _) in ranges}
        start, end = ranges[0][1]
        with_base = (self.method.needs_base or self.method.takes_base) and part.method is None
        base = part.base or self.recipe.base if with_base else None
        if base is not None and base not in starts:
            # A base that is not listed gives the layers of the first source.
            if end > self.layouts[base].layers:
                detail = f"layers [{start}, {end}) are asked for, it has {self.layouts[base].layers}"
                raise MismatchError(
                    str(base), detail, "list the base among the sources with layers of its own"
                )
            starts[base] = start
        return _Block(part, base, starts, end - start)

    def _tensors_at(self, place: _Place, *, before: bool | None = None) -> Iterator[TensorPlan]:
        """Yields the plans of one layer's tensors, or of those before or after all layers."""
        members = self._members(place)
        found: dict[str, None] = {}
        for layout in members:
            found |= dict.fromkeys(self._contents[layout.parent].get(self._layer_in(layout, place), ()))
        # A tied model may hold its one table twice, which is merged once.  Where all hold a head, it is
        # merged too: whether it is a copy, only weights tell (`workers/compatibility/stored_names.py`).
        tied = place.layer is None and all(is_tied(layout) for layout in members)
        for role in found:
            if before is not None and before != _comes_before(role):
                continue
            if tied and role.endswith(_HEADS) and not all(role in layout.tensors for layout in members):
                continue
            if place.layer is None and any(role in layout.copied for layout in members):
                if role in self.owner.copied:
                    yield self._copied(role)
                continue
            plan = self._tensor(role, [self._member(layout, role, place) for layout in members], place)
            if plan is not None:
                yield plan

    def _copied(self, role: str) -> TensorPlan:
        """Takes a tensor that is no part of the language model from the parent whose eyes the model gets."""
        seen = Member(self.eyes, role, self.eyes.tensors.get(role))
        check_tensors([Member(self.owner, role, self.owner.tensors[role]), seen])
        return _copy(role, seen, self.eyes.tensors[role])

    def _members(self, place: _Place) -> list[Layout]:
        """The checkpoints that must agree on a tensor: base, sources, and the owner of the config."""
        block = place.block
        parents = [block.base] if block.base is not None else []
        parents += [source.parent for source in block.part.sources]
        return [self.layouts[parent] for parent in dict.fromkeys((*parents, self.owner.parent))]

    def _layer_in(self, layout: Layout, place: _Place) -> int | None:
        if place.layer is None:
            return None
        start = place.block.starts.get(layout.parent)
        if start is None:  # the owner takes no part; any of its layers shows the shape
            start = place.block.starts[place.block.part.sources[0].parent]
            return min(start + place.layer, layout.layers - 1)
        return start + place.layer

    def _member(self, layout: Layout, role: str, place: _Place) -> Member:
        name = _name(layout, role, self._layer_in(layout, place))
        return Member(layout, name, layout.tensors.get(name))

    def _tensor(self, role: str, members: list[Member], place: _Place) -> TensorPlan | None:
        name = _name(self.owner, role, place.number)
        first = members[0]
        having = next(c for c in members if c.entry is not None)
        assert having.entry is not None  # noqa: S101 - for the type checker
        if is_buffer(role, having.entry):
            return None if first.entry is None else _copy(name, first, first.entry)
        check_tensors(members)
        if not is_mergeable(having.entry):
            if having.entry.dtype.startswith("F"):
                detail = f"{having.name!r} holds {having.entry.dtype}, which has no arithmetic"
                raise MismatchError(str(having.layout.parent), detail, "save it in bfloat16 first")
            return _copy(name, having, having.entry)
        names = {member.layout.parent: member.name for member in members}
        return self._merged(name, having.entry, names, place)

    def _merged(
        self, name: str, entry: TensorEntry, names: Mapping[Parent, str], place: _Place
    ) -> TensorPlan:
        block, recipe = place.block, self.recipe
        out_dtype = recipe.out_dtype or recipe.dtype or TORCH_NAMES[entry.dtype]
        sources = list(block.part.sources)
        if block.part.method is not None:
            return _as_it_is(
                name, entry.shape, self._input(sources[0].parent, names), recipe.dtype, out_dtype
            )
        if self.method.base_is_a_parent:  # the base is where the path starts
            sources.sort(key=lambda source: source.parent != block.base)
        elif self.method.needs_base or self.method.takes_base:
            sources = [source for source in sources if source.parent != block.base]
        inputs = tuple(self._input(source.parent, names) for source in sources)
        with_base = block.base is not None and not self.method.base_is_a_parent
        return TensorPlan(
            name=name,
            shape=entry.shape,
            kernel=self.method.name,
            inputs=inputs,
            base=self._input(block.base, names) if with_base and block.base else None,
            per_parent=self._per_parent(name, sources, names, place),
            shared=self._shared(name, place),
            choices=self._choices(name, place),
            seeds=self._seeds(inputs),
            dtype=recipe.dtype,
            out_dtype=out_dtype,
        )

    def _input(self, parent: Parent, names: Mapping[Parent, str]) -> Input:
        layout = self.layouts[parent]
        # The layout's parent is one object for all recipes, so that inputs are soon found to be equal.
        return Input(layout.parent, names[parent], layout.tensors[names[parent]].arrangement)

    def _per_parent(
        self, name: str, sources: list[Source], names: Mapping[Parent, str], place: _Place
    ) -> dict[str, tuple[float, ...]]:
        """Resolves the parameters that each source has for itself; filters see the sources' own names."""
        found: dict[str, tuple[float, ...]] = {}
        for label in (parameter.name for parameter in self.method.parameters if parameter.scope == "parent"):
            values = []
            for source in sources:
                own = names[source.parent]
                value = self.recipe.parent_value(label, place.block.part, source, own, place.depth)
                values.append(self._said(value, label, name, source.parent))
            found[label] = tuple(values)
        return found

    def _shared(self, name: str, place: _Place) -> dict[str, float]:
        """Resolves the parameters that all sources share; filters see the merged tensor's name."""
        labels = [p.name for p in self.method.parameters if p.scope == "shared" and p.kind != "choice"]
        values = {n: self.recipe.shared_value(n, place.block.part, name, place.depth) for n in labels}
        return {label: self._said(value, label, name, None) for label, value in values.items()}

    def _choices(self, name: str, place: _Place) -> dict[str, str]:
        """Resolves the parameters that are words."""
        found = {}
        for parameter in self.method.parameters:
            if parameter.kind == "choice":
                value = self.recipe.shared_value(parameter.name, place.block.part, name, place.depth)
                found[parameter.name] = parameter.choices[int(value or 0)]
        return found

    def _seeds(self, inputs: tuple[Input, ...]) -> tuple[int, ...]:
        if not self.method.random:
            return ()
        return tuple(mask_seed(self.recipe.seed, item.parent, item.tensor) for item in inputs)

    def _said(self, value: float | None, parameter: str, tensor: str, owner: Parent | None) -> float:
        if value is None:
            whose = "" if owner is None else f" for {owner}"
            raise MergeError(
                tensor,
                f"{self.method.name} is given no {parameter}{whose}",
                f"add {parameter}, or end its list with a value that has no filter",
            )
        return value


def check_filters(recipe: Recipe, tensors: Sequence[TensorPlan]) -> None:
    """Refuses filters that choose nothing and are misspelt; tells those of another architecture.

    Raises:
        MergeError: Names the filter.
    """
    names = [name for plan in tensors for name in (plan.name, *(item.tensor for item in plan.inputs))]
    for idle in idle_filters(recipe, names):
        if idle.is_mistake:
            raise MergeError(idle.field, idle.detail, f"use a part of a name such as {names[-1]!r}")
        _log.warning("%s: %s: it changes nothing", idle.field, idle.detail)


def _by_layer(layout: Layout) -> dict[int | None, list[str]]:
    """Sorts a checkpoint's tensors by layer; inside the layers without the layer's prefix and number."""
    found: dict[int | None, list[str]] = {}
    for name in layout.tensors:
        layer = layout.layer_of(name)
        role = name if layer is None else name[len(layout.layer_prefix) :].split(".", 1)[1]
        found.setdefault(layer, []).append(role)
    return found


def _name(layout: Layout, role: str, layer: int | None) -> str:
    return role if layer is None else f"{layout.layer_prefix}{layer}.{role}"


def _comes_before(name: str) -> bool:
    """Says whether a tensor outside the layers is used before them: embeddings and their norms."""
    return not name.endswith(_HEADS) and any(part in name for part in _BEFORE_THE_LAYERS)


def _as_it_is(
    name: str, shape: tuple[int, ...], source: Input, dtype: str | None, out_dtype: str
) -> TensorPlan:
    """The plan of a tensor in a slice that is copied, whatever the recipe's method."""
    return TensorPlan(
        name, shape, "passthrough", (source,), per_parent={"scale": (1.0,)}, dtype=dtype, out_dtype=out_dtype
    )


def _copy(name: str, source: Member, entry: TensorEntry) -> TensorPlan:
    return TensorPlan(name, entry.shape, None, (Input(source.layout.parent, source.name),))
