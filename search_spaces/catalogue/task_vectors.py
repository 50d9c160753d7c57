"""Declares the methods that add up task vectors, thinned out or not."""

from __future__ import annotations

from search_spaces.method import DENSITY, INT8_MASK, LAMBDA, WEIGHT, Method, MethodParameter, switch


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
)
