"""Declares the methods that need records of a calibration pass."""

from __future__ import annotations

from search_spaces.catalogue.method import LAMBDA, Method, MethodParameter, choice, switch

_SAY = MethodParameter(
    "weight", "parent", 1.0, 0.0, 1.5, True, meaning="factor on what is recorded of the parent", least=0.0
)

METHODS: tuple[Method, ...] = (
    Method(
        "fisher",
        "Fisher-weighted average",
        "Matena and Raffel, arXiv 2111.09832",
        (
            _SAY,
            switch("normalize", 1.0, "divide each parent's Fisher by its norm over the whole model"),
            choice(
                "floor",
                ("add", "raise_all", "raise_first"),
                "how no entry gets the Fisher 0: fisher_floor is added, or is the least for all, or is the "
                "least for the first parent",
            ),
            MethodParameter(
                "fisher_floor",
                "shared",
                1e-6,
                0.0,
                1e-6,
                meaning="Fisher of an entry that does not matter",
                least=0.0,
            ),
        ),
        records=("fisher",),
    ),
    Method(
        "gradient_matching",
        "Uncertainty-based gradient matching",
        "Daheim et al., arXiv 2310.12808",
        (
            _SAY,
            LAMBDA,
            MethodParameter(
                "prior", "shared", 1.0, 0.0, 2.0, meaning="factor on the base's Fisher", least=0.0
            ),
            MethodParameter(
                "delta", "shared", 1e-10, 0.0, 1e-3, meaning="precision that every entry has", least=0.0
            ),
        ),
        needs_base=True,
        records=("fisher",),
    ),
    Method(
        "regmean",
        "RegMean: least squares over each layer's inputs",
        "Jin et al., arXiv 2212.09849",
        (
            _SAY,
            MethodParameter(
                "off_diagonal",
                "shared",
                0.9,
                0.0,
                1.0,
                True,
                meaning="factor on the Gram matrices beside their diagonal",
                least=0.0,
                most=1.0,
            ),
        ),
        records=("gram",),
    ),
)
