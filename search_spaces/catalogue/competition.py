"""Declares the methods in which the parents compete for every entry: PCB, consensus, SCE."""

from __future__ import annotations

from search_spaces.catalogue.method import INT8_MASK, LAMBDA, Method, MethodParameter, choice

_EPSILON = MethodParameter(
    "epsilon", "shared", 1e-5, 0.0, 1e-3, meaning="a smaller change is none", least=0.0
)

_MASK_LAMBDA = MethodParameter(
    "mask_lambda",
    "parent",
    0.4,
    0.1,
    1.0,
    True,
    meaning="how strictly an entry is the parent's own",
    least=0.0,
)
_MULTI_TASK_VECTOR = (
    choice("multi", ("ta", "ties"), "the merged task vector: a sum, or TIES over the whole model"),
    MethodParameter(
        "density",
        "shared",
        0.2,
        0.05,
        0.9,
        meaning="share of entries that the TIES inside keeps",
        least=0.0,
        most=1.0,
    ),
)

METHODS: tuple[Method, ...] = (
    Method(
        "varm",
        "VaRM: weights from how much each parent changed a matrix",
        "Wan et al. (FuseChat), arXiv 2402.16107",
        (LAMBDA,),
        needs_base=True,
    ),
    Method(
        "sce",
        "SCE: select, calculate, erase",
        "Wan et al. (FuseChat), arXiv 2408.07990",
        (
            MethodParameter(
                "select_topk",
                "shared",
                1.0,
                0.02,
                1.0,
                True,
                meaning="share of the entries that vary between parents which is selected",
                least=0.0,
                most=1.0,
            ),
            choice("select_applies_to", ("deltas", "weights"), "weights: entries not selected still add"),
            INT8_MASK,
        ),
        needs_base=True,
    ),
    Method(
        "ram",
        "RAM: what one parent alone changed is kept whole",
        "Reinforced Agent Merging, arXiv 2601.13572",
        (_EPSILON,),
        needs_base=True,
    ),
    Method(
        "ramplus_tl",
        "RAM+: the same, what one parent alone changed being stretched",
        "Reinforced Agent Merging, arXiv 2601.13572",
        (
            _EPSILON,
            MethodParameter("r", "shared", 0.1, 0.0, 1.0, True, meaning="how strongly it is stretched"),
            MethodParameter(
                "alpha", "shared", 0.2, 0.0, 1.0, True, meaning="largest overlap that counts", least=0.0
            ),
        ),
        needs_base=True,
    ),
    Method(
        "nearswap",
        "Nearswap: towards a second model, all the way where the two are near",
        "Goddard et al. (mergekit), arXiv 2403.13257",
        (
            MethodParameter(
                "t", "shared", None, 0.0, 0.01, True, meaning="the furthest that an entry moves", least=0.0
            ),
        ),
        needs_base=True,
        most_parents=1,
    ),
    Method(
        "arcee_fusion",
        "Arcee Fusion: a second model's most important entries",
        "Goddard et al. (mergekit), arXiv 2403.13257",
        (
            MethodParameter(
                "spread",
                "shared",
                1.5,
                0.0,
                3.0,
                meaning="interquartile ranges above the median from which on an entry is taken",
                least=0.0,
            ),
        ),
        needs_base=True,
        most_parents=1,
    ),
    Method(
        "pcb",
        "PCB-Merging: parameters compete, the winners are averaged",
        "Du et al., arXiv 2410.02396",
        (
            MethodParameter(
                "weight", "parent", 1.0, 0.0, 2.0, True, meaning="factor on the parent's winners"
            ),
            MethodParameter(
                "density",
                "shared",
                0.1,
                0.01,
                0.4,
                meaning="share of every task vector's entries that wins",
                least=0.0,
                most=1.0,
            ),
            MethodParameter(
                "clamp",
                "shared",
                0.01,
                0.0,
                0.05,
                meaning="share of magnitudes clipped at either end",
                least=0.0,
                most=0.5,
            ),
            LAMBDA,
            choice("variant", ("es", "script", "nlp"), "which of the published scores is taken"),
            choice("granularity", ("global", "tensor"), "over what the entries are ranked"),
        ),
        needs_base=True,
    ),
    Method(
        "consensus",
        "Consensus: only entries that matter to several parents",
        "Wang et al. (TALL-masks), arXiv 2405.07813",
        (
            _MASK_LAMBDA,
            MethodParameter(
                "k",
                "shared",
                2.0,
                0.0,
                4.0,
                meaning="how many parents an entry must matter to",
                least=0.0,
            ),
            LAMBDA,
            *_MULTI_TASK_VECTOR,
        ),
        needs_base=True,
    ),
    Method(
        "tall_mask",
        "TALL-mask: one parent, made again from the merged task vector",
        "Wang et al. (TALL-masks), arXiv 2405.07813",
        (
            _MASK_LAMBDA,
            MethodParameter(
                "task", "shared", 1.0, 1.0, 8.0, meaning="number of the parent, counted from 1", least=1.0
            ),
            LAMBDA,
            *_MULTI_TASK_VECTOR,
        ),
        needs_base=True,
    ),
)
