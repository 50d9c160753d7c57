"""Declares the methods that mix whole parents: averages, arcs, layers as they are."""

from __future__ import annotations

from search_spaces.method import WEIGHT, Method, MethodParameter, switch

METHODS: tuple[Method, ...] = (
    Method(
        "linear",
        "Weighted average (model soup)",
        "Wortsman et al., arXiv 2203.05482",
        (WEIGHT, switch("normalize", 1.0, "divide by the sum of the weights")),
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
        "passthrough",
        "Passthrough: layers as they are",
        "Layer stacking; Akiba et al., arXiv 2403.13187, section 3.2",
        (MethodParameter("scale", "parent", 1.0, 0.5, 1.5, meaning="factor on the tensor"),),
        most_parents=1,
    ),
)
