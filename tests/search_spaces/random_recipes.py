"""Recipes at random: every method, every form that a parameter can take."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.catalogue.methods import METHODS, Method, MethodParameter
from search_spaces.recipes.settings import Parameter, Setting, canonical_number

BASE = Parent(model="org/base")
NAMES = ("org/left", "org/right@v1.0", "./a folder/c@d+e", "/models/ünïcode: x", "1e5", "~")

_NUMBERS = st.floats(-3.0, 3.0, allow_nan=False) | st.sampled_from([0.0, 1.0, 1e-5, 123456789.123])
_FILTERS = st.sampled_from(["mlp", "*", "", "layers.3.", "1e5", "on", "a: [b", "# x", "null"]) | st.text(
    max_size=8
)


def _numbers(parameter: MethodParameter) -> st.SearchStrategy[float]:
    if parameter.kind == "switch":
        return st.sampled_from([0.0, 1.0])
    if parameter.kind == "choice":
        return st.sampled_from([float(i) for i in range(len(parameter.choices))])
    least, most = parameter.least, parameter.most
    if least is None and most is None:
        return _NUMBERS
    low = most - 3.0 if least is None and most is not None else least
    return st.floats(low, most if most is not None else (low or 0.0) + 3.0, allow_subnormal=False)


def _values(parameter: MethodParameter) -> st.SearchStrategy[Any]:
    numbers = _numbers(parameter)
    if parameter.whole:
        return st.integers(0, 10**7).map(float)
    if parameter.kind != "number":
        return numbers
    return numbers | st.lists(numbers, min_size=1, max_size=4).map(tuple)


def settings_of(parameter: MethodParameter) -> st.SearchStrategy[Parameter]:
    """Settings of one parameter, the last of which has no filter."""
    value = _values(parameter)
    filtered = st.builds(lambda v, f: Setting(value=v, filter=f), value, _FILTERS)
    last = st.builds(lambda v: Setting(value=v), value)
    return st.builds(lambda some, one: (*some, one), st.lists(filtered, max_size=2), last)


@st.composite
def parameters(draw: st.DrawFn, method: Method, *, required: bool) -> dict[str, Parameter]:
    """Parameters of one level; those without a default are there where they are required."""
    found = {}
    for parameter in method.parameters:
        if (required and parameter.default is None) or draw(st.integers(0, 3)) == 0:
            found[parameter.name] = draw(settings_of(parameter))
    return found


@st.composite
def slices(draw: st.DrawFn, method: Method, *, layered: bool) -> Slice:
    most = method.most_parents or 3
    names = draw(st.permutations(NAMES))[: draw(st.integers(method.fewest_parents, most))]
    parents = [Parent.model_validate(name) for name in names]
    base = None
    if method.base_is_a_parent:
        parents[draw(st.integers(0, len(parents) - 1))] = BASE
    elif layered and (method.needs_base or method.takes_base) and draw(st.booleans()):
        base = Parent(model="org/other-base")
    layers = draw(st.tuples(st.integers(0, 9), st.integers(10, 20))) if layered else None
    return Slice(
        sources=tuple(
            Source(parent=p, layers=layers, parameters=draw(parameters(method, required=False)))
            for p in parents
        ),
        base=base,
        parameters=draw(parameters(method, required=False)) if layered else {},
    )


@st.composite
def copies(draw: st.DrawFn) -> Slice:
    """A slice that is taken as it is, in a recipe of any method."""
    layers = draw(st.tuples(st.integers(0, 9), st.integers(10, 20)))
    parent = Parent.model_validate(draw(st.sampled_from([*NAMES, str(BASE)])))
    return Slice(sources=(Source(parent=parent, layers=layers),), method="passthrough")


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any recipe that can be written down."""
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))]
    layered = draw(st.booleans())
    parts = draw(st.lists(slices(method, layered=layered), min_size=1, max_size=3 if layered else 1))
    if layered:
        parts += draw(st.lists(copies(), max_size=2))
        scales = draw(st.lists(st.none() | st.floats(0.2, 5.0), min_size=len(parts), max_size=len(parts)))
        parts = [
            part
            if scale is None or i == 0
            else part.model_copy(update={"input_scale": canonical_number(scale)})
            for i, (part, scale) in enumerate(zip(parts, scales, strict=True))
        ]
    formats = st.sampled_from([None, "float32", "bfloat16", "float16"])
    return Recipe(
        method=method.name,
        slices=tuple(parts),
        base=BASE if method.needs_base or draw(st.booleans()) else None,
        parameters=draw(parameters(method, required=True)),
        dtype=draw(formats),
        out_dtype=draw(formats),
        tokenizer=draw(st.sampled_from([None, BASE, Parent(model="org/tokens")])),
        seed=draw(st.integers(0, 2**63 - 1)),
    )
