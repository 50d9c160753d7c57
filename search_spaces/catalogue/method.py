"""What a merge method declares of itself: parameters, ranges, parents and paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class MethodParameter:
    """One knob of a merge method.

    Attributes:
        scope: Whether each parent has its own value or all parents share one.
        default: Taken where a recipe says nothing; None means that the recipe must say it.
        low, high: The range that is searched unless the user gives another.
        kind: A switch is 0 or 1, a choice the number of one of `choices`; neither is searched.
        choices: The words that a recipe file may say, in order.
        least, most: Values outside are refused; None is no limit.
        whole: Only whole numbers are values, and one holds for all layers of a slice.
    """

    name: str
    scope: Literal["parent", "shared"]
    default: float | None
    low: float = 0.0
    high: float = 1.0
    searched: bool = False
    kind: Literal["number", "switch", "choice"] = "number"
    meaning: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """One way to make a tensor out of the parents' tensors.

    Attributes:
        needs_base: There is no merge without a base; `takes_base`: one is used where it is given.
        base_is_a_parent: The base is one of the tensors that are mixed (slerp's start).
        random: Draws masks, so that the recipe's seed matters.
        records: What a calibration pass must have recorded beside each parent (`fisher`, `gram`).
        unchanged_is_idle: A parent's own parameters do nothing to a tensor in which it equals the base, as
            long as nothing is divided by the weights and no threshold is the whole model's.
        experimental: What keeps it from being the published method, where something does.
    """

    name: str
    title: str
    paper: str
    parameters: tuple[MethodParameter, ...]
    needs_base: bool = False
    takes_base: bool = False
    base_is_a_parent: bool = False
    fewest_parents: int = 1
    most_parents: int | None = None
    random: bool = False
    records: tuple[str, ...] = ()
    unchanged_is_idle: bool = False
    experimental: str = ""

    @property
    def parents_wanted(self) -> str:
        """How many parents it takes, in words."""
        fewest, most = self.fewest_parents, self.most_parents
        wanted = f"exactly {most}" if fewest == most else f"{fewest} to {most or 'any'}"
        return f"{wanted} {'parent' if most == 1 else 'parents'}"

    def parameter(self, name: str) -> MethodParameter:
        """Returns the parameter of this name.

        Raises:
            UnknownNameError: The method has no such parameter.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = (parameter.name for parameter in self.parameters)
        raise UnknownNameError(f"parameters.{name}", f"parameter of {self.name}", name, known)


WEIGHT = MethodParameter("weight", "parent", None, 0.0, 1.5, True, meaning="contribution of the parent")
DENSITY = MethodParameter(
    "density",
    "parent",
    1.0,
    0.1,
    1.0,
    True,
    meaning="share of the task vector's entries that is kept",
    least=0.0,
    most=1.0,
)
LAMBDA = MethodParameter("lambda", "shared", 1.0, 0.3, 1.8, meaning="factor on the merged task vector")


def switch(name: str, default: float, meaning: str) -> MethodParameter:
    """Returns a parameter that is on or off for all parents."""
    return MethodParameter(name, "shared", default, kind="switch", meaning=meaning)


def choice(name: str, choices: tuple[str, ...], meaning: str) -> MethodParameter:
    """Returns a parameter that is one of some words for all parents; the first is the default."""
    last = float(len(choices) - 1)
    return MethodParameter(
        name,
        "shared",
        0.0,
        0.0,
        last,
        kind="choice",
        meaning=meaning,
        choices=choices,
        least=0.0,
        most=last,
    )


INT8_MASK = switch("int8_mask", 0.0, "accepted for mergekit's sake; changes nothing")
