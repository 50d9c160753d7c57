"""Declares the methods that mix whole parents: averages, arcs, layers as they are."""

from __future__ import annotations

from search_spaces.catalogue.method import LAMBDA, WEIGHT, Method, MethodParameter, choice, switch

_MERGEKIT = "Goddard et al. (mergekit), arXiv 2403.13257"

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
        "nuslerp",
        "Spherical interpolation by weights, around a base",
        f"{_MERGEKIT}; Shoemake, SIGGRAPH 1985",
        (
            WEIGHT,
            choice("granularity", ("tensor", "row", "column"), "what has an angle of its own"),
            switch("nuslerp_flatten", 1.0, "off: an angle per row, as granularity: row"),
            switch("nuslerp_row_wise", 0.0, "with flatten off: an angle per column, as granularity: column"),
        ),
        takes_base=True,
        fewest_parents=2,
        most_parents=2,
    ),
    Method(
        "multislerp",
        "Spherical average of any number of parents, around a base",
        f"{_MERGEKIT}; Buss and Fillmore, ACM TOG 20(2), 2001",
        (
            WEIGHT,
            switch("normalize_weights", 1.0, "divide by the sum of the weights"),
            MethodParameter("eps", "shared", 1e-8, meaning="added to lengths before dividing", least=0.0),
        ),
        takes_base=True,
    ),
    Method(
        "karcher",
        "Riemannian centre of mass on the sphere",
        f"Karcher, CPAM 30(5), 1977; {_MERGEKIT}",
        (
            MethodParameter("weight", "parent", 1.0, 0.0, 1.5, True, meaning="pull of the parent", least=0.0),
            MethodParameter(
                "max_iter", "shared", 10.0, 1.0, 50.0, meaning="gradient steps at most", least=1.0
            ),
            MethodParameter("tol", "shared", 1e-5, 0.0, 0.1, meaning="a shorter step is the last", least=0.0),
        ),
    ),
    Method(
        "model_stock",
        "Model Stock: the average, pulled to the base by the angle between the parents",
        "Jang et al., arXiv 2403.19522",
        (
            choice("granularity", ("tensor", "row"), "what has an angle of its own"),
            switch("filter_wise", 0.0, "an angle per row, as granularity: row"),
            switch("clamp", 0.0, "keep the position between base and average between 0 and 1"),
        ),
        needs_base=True,
        fewest_parents=2,
    ),
    Method(
        "self_positioning",
        "Self Positioning: a chain of arcs through whole task vectors",
        "Li et al., arXiv 2410.15035",
        (
            MethodParameter(
                "position", "parent", 1.0, 0.0, 2.0, True, meaning="nearness to the parent", least=0.0
            ),
            LAMBDA,
        ),
        needs_base=True,
    ),
    Method(
        "sparse_soup",
        "Sparse Model Soup: the average of models pruned alike",
        "Zimmer et al., arXiv 2306.16788",
        (
            WEIGHT,
            switch("normalize", 1.0, "divide by the sum of the weights"),
            choice("mask", ("shared", "union", "intersection"), "which entries of the average are kept"),
        ),
    ),
    Method(
        "passthrough",
        "Passthrough: layers as they are",
        "Layer stacking; Akiba et al., arXiv 2403.13187, section 3.2",
        (MethodParameter("scale", "parent", 1.0, 0.5, 1.5, meaning="factor on the tensor"),),
        most_parents=1,
    ),
)
