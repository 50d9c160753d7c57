"""A parameter's value as it varies over depth and tensor names.

mergekit's three forms are one form here: a parameter is a list of settings, and a tensor takes
the first one whose filter is part of its name.  A setting's value is a number or a *gradient*,
numbers interpolated linearly over the depth of a slice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def canonical_number(value: float) -> float:
    """Rounds to eight significant digits, so that equal recipes have equal text on any machine.

    Raises:
        ValueError: The value is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return float(f"{value:.8g}") + 0.0  # + 0.0 turns -0.0 into 0.0


def _canonical_gradient(values: tuple[float, ...]) -> tuple[float, ...]:
    if not values:
        raise ValueError("a gradient needs at least one number")
    return tuple(canonical_number(value) for value in values)


Number = Annotated[float, AfterValidator(canonical_number)]
Gradient = Annotated[tuple[float, ...], AfterValidator(_canonical_gradient)]


class Setting(BaseModel):
    """A value for the tensors whose name contains `filter` (None: all tensors)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Number | Gradient
    filter: str | None = None

    def applies_to(self, tensor_name: str) -> bool:
        """Says whether this setting's filter is part of the tensor's name."""
        return self.filter is None or self.filter == "*" or self.filter in tensor_name

    def at(self, depth: float, *, in_steps: bool = False) -> float:
        """Returns the value at a depth: 0 is the slice's first layer, 1 its last.

        In steps there is nothing between two values of a gradient: switches and words are taken so.
        """
        if isinstance(self.value, float):
            return self.value
        position = depth * (len(self.value) - 1)
        below = min(int(position), len(self.value) - 1)
        if in_steps:
            return self.value[below]
        above = min(below + 1, len(self.value) - 1)
        share = position - below
        return self.value[below] * (1 - share) + self.value[above] * share


Parameter = tuple[Setting, ...]
Parameters = Mapping[str, Parameter]


def constant(value: float) -> Parameter:
    """Returns a parameter with one value for every tensor."""
    return (Setting(value=value),)


def value_for(
    parameter: Parameter, tensor_name: str, depth: float, *, in_steps: bool = False
) -> float | None:
    """Returns the parameter's value for one tensor, or None where no setting applies."""
    for setting in parameter:
        if setting.applies_to(tensor_name):
            return setting.at(depth, in_steps=in_steps)
    return None


def first_value(
    levels: Sequence[Parameters], name: str, tensor_name: str, depth: float, *, in_steps: bool = False
) -> float | None:
    """Returns the value of the innermost level that says anything about this tensor."""
    for level in levels:
        if name in level:
            value = value_for(level[name], tensor_name, depth, in_steps=in_steps)
            if value is not None:
                return value
    return None
