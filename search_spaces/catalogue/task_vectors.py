"""Declares the methods that add up task vectors, thinned out or not."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.catalogue.method import (
    DENSITY,
    INT8_MASK,
    LAMBDA,
    WEIGHT,
    Method,
    MethodParameter,
    choice,
    switch,
)

_GRANULARITY = choice(
    "granularity", ("tensor", "row", "global"), "among which entries of a task vector magnitudes are ranked"
)
_MIDDLE = (
    MethodParameter(
        "gamma",
        "parent",
        0.01,
        0.0,
        0.1,
        meaning="share of the largest entries that is dropped",
        least=0.0,
        most=1.0,
    ),
    _GRANULARITY,
    choice(
        "order",
        ("remove_first", "keep_first"),
        "whether density counts the entries beside the outliers, or the outliers too",
    ),
)
_EPSILON = MethodParameter(
    "epsilon",
    "parent",
    0.15,
    0.0,
    0.2,
    meaning="how far the probability of being kept goes above and below density",
    least=0.0,
    most=0.5,
)
# So that density - epsilon and density + epsilon are probabilities, with the default epsilon.
_DENSITY_AMID = replace(DENSITY, low=0.2, high=0.8)


def _task_vector_family(*, normalize: float, rescale: float) -> tuple[MethodParameter, ...]:
    """The parameters that all methods on task vectors share, with this method's defaults."""
    return (
        WEIGHT,
        DENSITY,
        LAMBDA,
        switch("normalize", normalize, "divide by the sum of the weights that took part"),
        switch("rescale", rescale, "restore the task vector's L1 norm after entries were dropped"),
        INT8_MASK,
    )


def _dropped_by_rank(*, normalize: float) -> tuple[MethodParameter, ...]:
    """The parameters of DELLA."""
    family = _task_vector_family(normalize=normalize, rescale=1.0)
    return (*(_DENSITY_AMID if parameter is DENSITY else parameter for parameter in family), _EPSILON)


METHODS: tuple[Method, ...] = (
    Method(
        "task_arithmetic",
        "Task arithmetic",
        "Ilharco et al., arXiv 2212.04089",
        # Density is declared because mergekit accepts it here; without a sparsifier it changes nothing.
        (
            WEIGHT,
            MethodParameter(
                "density", "parent", 1.0, meaning="accepted for mergekit's sake; changes nothing"
            ),
            LAMBDA,
            switch("normalize", 0.0, "divide by the sum of the weights"),
            switch("rescale", 0.0, "changes nothing: no entry is dropped"),
            INT8_MASK,
        ),
        needs_base=True,
        unchanged_is_idle=True,
    ),
    Method(
        "ties",
        "TIES: trim, elect sign, disjoint merge",
        "Yadav et al., arXiv 2306.01708",
        (
            *_task_vector_family(normalize=1.0, rescale=0.0),
            _GRANULARITY,
            choice(
                "merge_function",
                ("mean", "sum", "max"),
                "what is made of the entries that agree; mean divides where normalize is on",
            ),
        ),
        needs_base=True,
        unchanged_is_idle=True,
    ),
    Method(
        "dare_linear",
        "DARE: drop and rescale",
        "Yu et al., arXiv 2311.03099",
        _task_vector_family(normalize=0.0, rescale=1.0),
        needs_base=True,
        unchanged_is_idle=True,
        random=True,
    ),
    Method(
        "dare_ties",
        "DARE with TIES' sign election",
        "Yu et al., arXiv 2311.03099; Yadav et al., arXiv 2306.01708",
        _task_vector_family(normalize=0.0, rescale=1.0),
        needs_base=True,
        unchanged_is_idle=True,
        random=True,
    ),
    Method(
        "dare",
        "DARE as published: rescaled by 1 / density",
        "Yu et al., arXiv 2311.03099",
        (
            WEIGHT,
            DENSITY,
            LAMBDA,
            switch("rescale", 1.0, "divide what is kept by the density"),
            choice("drop", ("random", "magnitude"), "drop entries at random, or the smallest"),
        ),
        needs_base=True,
        unchanged_is_idle=True,
        random=True,
    ),
    Method(
        "della",
        "DELLA: drop by rank, elect sign, merge",
        "Deep et al., arXiv 2406.11617",
        _dropped_by_rank(normalize=1.0),
        needs_base=True,
        unchanged_is_idle=True,
        random=True,
    ),
    Method(
        "della_linear",
        "DELLA without sign election",
        "Deep et al., arXiv 2406.11617",
        _dropped_by_rank(normalize=0.0),
        needs_base=True,
        unchanged_is_idle=True,
        random=True,
    ),
    Method(
        "breadcrumbs",
        "Model Breadcrumbs: drop both tails",
        "Davari and Belilovsky, arXiv 2312.06795",
        (*_task_vector_family(normalize=0.0, rescale=0.0), *_MIDDLE),
        needs_base=True,
        unchanged_is_idle=True,
    ),
    Method(
        "breadcrumbs_ties",
        "Model Breadcrumbs with TIES' sign election",
        "Davari and Belilovsky, arXiv 2312.06795; Yadav et al., arXiv 2306.01708",
        (*_task_vector_family(normalize=0.0, rescale=0.0), *_MIDDLE),
        needs_base=True,
        unchanged_is_idle=True,
    ),
    Method(
        "compeft",
        "ComPEFT: sign times one number",
        "Yadav et al., arXiv 2311.13171",
        (
            WEIGHT,
            replace(DENSITY, default=0.2, low=0.05, high=0.5),
            MethodParameter(
                "alpha", "parent", 1.0, 0.5, 10.0, meaning="the number, in standard deviations", least=0.0
            ),
            LAMBDA,
        ),
        needs_base=True,
    ),
    Method(
        "grafting",
        "Grafting: the largest entries of the whole model",
        "Panigrahi et al., arXiv 2302.06600",
        (WEIGHT, replace(DENSITY, default=0.01, low=0.0001, high=0.1), LAMBDA),
        needs_base=True,
    ),
)
