"""What the contract tests of kernels need: every method in each of its variants, mixed from few words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from search_spaces import Parent
from search_spaces.catalogue import calibrated, spectral
from search_spaces.catalogue.methods import METHODS, Method, MethodParameter
from workers.merging.methods import KERNELS, SURVEYS, Ingredients
from workers.merging.plan import Input, TensorPlan

SHAPE = (6, 5)
_NAME = "model.layers.0.mlp.up_proj.weight"
# Decompositions and solvers lose some digits that sums keep.
_SOLVING = {method.name for family in (spectral, calibrated) for method in family.METHODS}


@dataclass(frozen=True)
class Variant:
    """A method with at most one of its switches or choices set otherwise than by default."""

    name: str
    values: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def method(self) -> Method:
        """Its declaration."""
        return METHODS[self.name]

    @property
    def on_task_vectors(self) -> bool:
        """Whether a base is used that is not one of the parents."""
        return self.method.needs_base and not self.method.base_is_a_parent

    @property
    def tolerance(self) -> float:
        """How far its results may be from exact ones."""
        return 1e-4 if self.name in _SOLVING else 1e-6

    def has(self, parameter: str) -> bool:
        """Says whether each parent has a parameter of this name."""
        return any(p.name == parameter and p.scope == "parent" for p in self.method.parameters)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.values.items())])


def variants() -> Iterator[Variant]:
    """Yields every method by default, and with each word of its choices and each switch turned."""
    for name in sorted(METHODS.keys() & KERNELS.keys()):
        yield Variant(name)
        for parameter in METHODS[name].parameters:
            if parameter.kind == "choice":
                yield from (Variant(name, {parameter.name: word}) for word in parameter.choices[1:])
            elif parameter.kind == "switch" and parameter.name != "int8_mask":
                yield Variant(name, {parameter.name: 1.0 - (parameter.default or 0.0)})


def draw(seed: int, dtype: torch.dtype = torch.float32, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Returns random numbers [shape]."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def ingredients(
    variant: Variant | str,
    parents: Sequence[Tensor],
    base: Tensor,
    weights: Sequence[float] | None = None,
    **values: float | str,
) -> Ingredients:
    """Mixes as many of the parents as the method takes, with its defaults where nothing is said.

    Methods that take fewer parents get the first ones.  The survey has been made where there is one.
    """
    variant = Variant(variant) if isinstance(variant, str) else variant
    method, values = variant.method, {**variant.values, **values}
    parents = tuple(parents)[: method.most_parents]
    if method.base_is_a_parent and len(parents) < method.fewest_parents:
        parents = (base, *parents)
    found = Ingredients(
        parents,
        base if variant.on_task_vectors else None,
        per_parent=_per_parent(method, len(parents), weights, values),
        shared=_shared(method, values),
        choices=_choices(method, values),
        name=_NAME,
        seeds=tuple(range(100, 100 + len(parents))) if method.random else (),
        records={
            kind: tuple(record(kind, p, 200 + i) for i, p in enumerate(parents)) for kind in method.records
        },
        base_records={kind: record(kind, base, 300) for kind in method.records},
    )
    return surveyed(variant.name, found)


def plan_of(mixed: Ingredients, variant: Variant, out_dtype: str = "float32") -> TensorPlan:
    """Returns the plan of a tensor that is made of these ingredients."""
    names = [Input(Parent(model=f"parent-{i}"), mixed.name) for i in range(len(mixed.parents))]
    return TensorPlan(
        name=mixed.name,
        shape=tuple(mixed.parents[0].shape),
        kernel=variant.name,
        inputs=tuple(names),
        base=None if mixed.base is None else Input(Parent(model="base"), mixed.name),
        per_parent=mixed.per_parent,
        shared=mixed.shared,
        choices=mixed.choices,
        seeds=mixed.seeds,
        dtype=str(mixed.parents[0].dtype).removeprefix("torch."),
        out_dtype=out_dtype,
    )


def merged(
    variant: Variant | str,
    parents: Sequence[Tensor],
    base: Tensor,
    weights: Sequence[float] | None = None,
    **values: float | str,
) -> Tensor:
    """Returns what the method makes of these ingredients."""
    name = variant if isinstance(variant, str) else variant.name
    return KERNELS[name](ingredients(variant, parents, base, weights, **values))


def surveyed(name: str, mixed: Ingredients) -> Ingredients:
    """Returns the ingredients with what a survey of this one tensor finds."""
    if name not in SURVEYS:
        return mixed
    return replace(mixed, findings=SURVEYS[name].look([OnlyTensor(mixed)]))


def record(kind: str, parent: Tensor, seed: int) -> Tensor | None:
    """Returns what a calibration pass could have recorded of a tensor: positive, or symmetric."""
    if kind != "gram":
        return draw(seed, shape=tuple(parent.shape)).square() + 0.1
    if parent.dim() != 2:
        return None
    inputs = draw(seed, shape=(3 * parent.shape[1], parent.shape[1]))
    return inputs.T @ inputs


@dataclass(frozen=True)
class OnlyTensor:
    """A Portion: the one tensor of a model."""

    mixed: Ingredients

    @property
    def name(self) -> str:
        return self.mixed.name

    @property
    def shape(self) -> tuple[int, ...]:
        known = self.mixed.parents[0] if self.mixed.parents else self.mixed.base
        return tuple(known.shape) if known is not None else ()

    @property
    def per_parent(self) -> Mapping[str, tuple[float, ...]]:
        return self.mixed.per_parent

    @property
    def shared(self) -> Mapping[str, float]:
        return self.mixed.shared

    @property
    def choices(self) -> Mapping[str, str]:
        return self.mixed.choices

    def load(self) -> Ingredients:
        return self.mixed


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-6) -> None:
    """Asserts that two tensors are nearly equal, whatever their precision."""
    torch.testing.assert_close(actual.double(), expected.double(), atol=tolerance, rtol=tolerance)


def _per_parent(
    method: Method, parents: int, weights: Sequence[float] | None, values: Mapping[str, float | str]
) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for parameter in (p for p in method.parameters if p.scope == "parent"):
        if parameter.name == "weight":
            even = [1 / max(parents, 1)] * parents
            found["weight"] = tuple(even if weights is None else weights)[:parents]
        else:
            found[parameter.name] = (_number(parameter, values),) * parents
    if "density" in found and "epsilon" in found and "epsilon" not in values:
        found["epsilon"] = tuple(min(0.15, 0.5 * min(d, abs(1 - d))) for d in found["density"])
    return found


def _shared(method: Method, values: Mapping[str, float | str]) -> dict[str, float]:
    shared = (p for p in method.parameters if p.scope == "shared" and p.kind != "choice")
    return {parameter.name: _number(parameter, values) for parameter in shared}


def _choices(method: Method, values: Mapping[str, float | str]) -> dict[str, str]:
    words = (p for p in method.parameters if p.kind == "choice")
    return {p.name: str(values.get(p.name, p.choices[int(p.default or 0)])) for p in words}


def _number(parameter: MethodParameter, values: Mapping[str, float | str]) -> float:
    return float(values.get(parameter.name, 0.5 if parameter.default is None else parameter.default))
