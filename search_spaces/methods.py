"""Declares every merge method once: its parameters, ranges, parents and paper.

Everything that must know a method reads this table: recipes are checked against it, search
spaces take their genes from it, `workers.merging.KERNELS` must have the same keys.
A parameter is *per parent* (`weight`, `density`) or *shared* by all parents (`t`, `lambda`).
"""

from __future__ import annotations

from collections.abc import Mapping
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
        kind: A switch is 0 or 1 and is never searched.
    """

    name: str
    scope: Literal["parent", "shared"]
    default: float | None
    low: float = 0.0
    high: float = 1.0
    searched: bool = False
    kind: Literal["number", "switch"] = "number"
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to make a tensor out of the parents' tensors."""

    name: str
    title: str
    paper: str
    parameters: tuple[MethodParameter, ...]
    needs_base: bool = False
    base_is_a_parent: bool = False
    fewest_parents: int = 1
    most_parents: int | None = None
    random: bool = False

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


_WEIGHT = MethodParameter("weight", "parent", None, 0.0, 1.5, True, meaning="contribution of the parent")
_DENSITY = MethodParameter(
    "density", "parent", 1.0, 0.1, 1.0, True, meaning="share of the task vector's entries that is kept"
)
_LAMBDA = MethodParameter("lambda", "shared", 1.0, 0.3, 1.8, meaning="factor on the merged task vector")


def _switch(name: str, default: float, meaning: str) -> MethodParameter:
    return MethodParameter(name, "shared", default, kind="switch", meaning=meaning)


_INT8_MASK = _switch("int8_mask", 0.0, "accepted for mergekit's sake; changes nothing")


def _task_vector_family(*, normalize: float, rescale: float) -> tuple[MethodParameter, ...]:
    """The parameters that all methods on task vectors share, with this method's defaults."""
    return (
        _WEIGHT,
        _DENSITY,
        _LAMBDA,
        _switch("normalize", normalize, "divide by the sum of the weights that took part"),
        _switch("rescale", rescale, "restore the task vector's L1 norm after entries were dropped"),
        _INT8_MASK,
    )


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            "linear",
            "Weighted average (model soup)",
            "Wortsman et al., arXiv 2203.05482",
            (_WEIGHT, _switch("normalize", 1.0, "divide by the sum of the weights")),
        ),
        Method(
            "slerp",
            "Spherical interpolation",
            "Shoemake, SIGGRAPH 1985",
            (MethodParameter("t", "shared", None, 0.0, 1.0, True, meaning="0 is the base, 1 the other"),),
            needs_base=True,
            base_is_a_parent=True,
            fewest_parents=2,
            most_parents=2,
        ),
        Method(
            "task_arithmetic",
            "Task arithmetic",
            "Ilharco et al., arXiv 2212.04089",
            # Density is declared because mergekit accepts it here; without a sparsifier it changes nothing.
            (
                _WEIGHT,
                MethodParameter(
                    "density", "parent", 1.0, meaning="accepted for mergekit's sake; changes nothing"
                ),
                _LAMBDA,
                _switch("normalize", 0.0, "divide by the sum of the weights"),
                _switch("rescale", 0.0, "changes nothing: no entry is dropped"),
                _INT8_MASK,
            ),
            needs_base=True,
        ),
        Method(
            "ties",
            "TIES: trim, elect sign, disjoint merge",
            "Yadav et al., arXiv 2306.01708",
            _task_vector_family(normalize=1.0, rescale=0.0),
            needs_base=True,
        ),
        Method(
            "dare_linear",
            "DARE: drop and rescale",
            "Yu et al., arXiv 2311.03099",
            _task_vector_family(normalize=0.0, rescale=1.0),
            needs_base=True,
            random=True,
        ),
        Method(
            "dare_ties",
            "DARE with TIES' sign election",
            "Yu et al., arXiv 2311.03099; Yadav et al., arXiv 2306.01708",
            _task_vector_family(normalize=0.0, rescale=1.0),
            needs_base=True,
            random=True,
        ),
        Method(
            "passthrough",
            "Passthrough: layers as they are",
            "Layer stacking; Akiba et al., arXiv 2403.13187, section 3.2",
            (MethodParameter("scale", "parent", 1.0, 0.5, 1.5, meaning="factor on the tensor"),),
            most_parents=1,
        ),
    )
}


def method_named(name: str, field: str = "method") -> Method:
    """Returns the declaration of a merge method.

    Raises:
        UnknownNameError: No method has this name; the message lists what there is.
    """
    if name not in METHODS:
        # The literature writes hyphens where mergekit writes underscores.
        raise UnknownNameError(field, "merge method", name, METHODS)
    return METHODS[name]
