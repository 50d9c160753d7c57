"""Declares the methods that work on singular vectors."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.catalogue.method import LAMBDA, Method, MethodParameter, choice, switch

_WEIGHT = MethodParameter("weight", "parent", 1.0, 0.0, 2.0, True, meaning="contribution of the parent")
_WHICH_MATRICES = (
    switch("exclude_embeddings", 1.0, "embeddings and heads are not decomposed"),
    switch("split_fused", 1.0, "layers that hold several matrices are taken apart, where that is sure"),
)

METHODS: tuple[Method, ...] = (
    Method(
        "tsvm",
        "TSV-Merge: leading singular vectors, made orthogonal",
        "Gargiulo et al., arXiv 2412.00081",
        (
            _WEIGHT,
            LAMBDA,
            MethodParameter(
                "rank",
                "shared",
                1.0,
                0.25,
                1.0,
                meaning="share of a parent's part, one T-th of all ranks, that is kept",
                least=0.0,
                most=1.0,
            ),
            choice("variant", ("reduced", "lossless"), "lossless: all singular vectors are kept"),
            *_WHICH_MATRICES,
        ),
        needs_base=True,
        unchanged_is_idle=True,
    ),
    Method(
        "r_tsvm",
        "R-TSVM: TSV-Merge with outlier-aware weights and sparsity-adaptive ranks",
        "Yang et al., arXiv 2502.06876",
        (
            _WEIGHT,
            LAMBDA,
            MethodParameter(
                "outliers",
                "shared",
                3.0,
                2.0,
                4.0,
                meaning="standard deviations beyond which an entry is an outlier",
                least=0.0,
            ),
            MethodParameter(
                "outlier_exponent",
                "shared",
                1.0,
                0.0,
                1.0,
                meaning="how much outliers weigh; 0 is not at all",
                least=0.0,
            ),
            MethodParameter(
                "sparsity",
                "shared",
                1e-3,
                1e-4,
                1e-1,
                meaning="share of the largest entry below which an entry counts as none",
                least=0.0,
                most=1.0,
            ),
            choice("granularity", ("tensor", "row"), "over what outliers are counted"),
            *_WHICH_MATRICES,
        ),
        needs_base=True,
        unchanged_is_idle=True,
        experimental="a reconstruction from the abstract; the formulas are not the authors'",
    ),
    Method(
        "iso_c",
        "Iso-C: the sum of the task vectors with equal singular values",
        "Marczak et al., arXiv 2502.04959",
        (_WEIGHT, LAMBDA, *_WHICH_MATRICES),
        needs_base=True,
        unchanged_is_idle=True,
    ),
    Method(
        "opcm",
        "OPCM: one after the other, projected off what was merged before",
        "Tang et al., arXiv 2501.09522",
        (
            MethodParameter(
                "alpha",
                "shared",
                0.5,
                0.0,
                0.9,
                meaning="share of the merged singular values that the next parent must keep off",
                least=0.0,
                most=1.0,
            ),
            LAMBDA,
            *_WHICH_MATRICES,
        ),
        needs_base=True,
    ),
    Method(
        "twin_merging",
        "Twin-Merging for fixed router weights",
        "Lu et al., arXiv 2406.15479",
        (
            MethodParameter(
                "weight", "parent", None, 0.0, 1.0, True, meaning="the router's weight of the parent"
            ),
            MethodParameter(
                "shared_weight",
                "shared",
                0.3,
                0.1,
                1.0,
                meaning="weight of every parent in the shared expert",
            ),
            MethodParameter(
                "rank",
                "shared",
                64.0,
                1.0,
                256.0,
                meaning="singular vectors kept of what is a parent's own",
                least=1.0,
            ),
            *_WHICH_MATRICES,
        ),
        needs_base=True,
    ),
    Method(
        "svd_scaling",
        "Task arithmetic, with singular values of the task vectors raised at random (CycleQD's mutation)",
        "Kuroki et al. (CycleQD), arXiv 2410.14735",
        (
            replace(_WEIGHT, default=None, low=-0.5, high=1.5),
            MethodParameter(
                "svd_rate",
                "parent",
                0.0,
                0.0,
                1.0,
                meaning="how much a singular value is raised at most, as a share of it",
                least=0.0,
            ),
            MethodParameter(
                "svd_seed",
                "parent",
                0.0,
                0.0,
                2.0**26,  # which recipes, with their eight digits, hold exactly
                meaning="a whole number, from which the raises are drawn",
                least=0.0,
                whole=True,
            ),
            *_WHICH_MATRICES,
        ),
        needs_base=True,
        unchanged_is_idle=True,
        random=True,
    ),
)
