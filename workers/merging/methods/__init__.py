"""The merge methods: one kernel per file, and the tables that name them.

`KERNELS` has the keys of `search_spaces.catalogue.methods.METHODS`.  To add a method, declare it there
(a file per family), write its kernel in a file of its own here and name it below.
"""

from __future__ import annotations

from collections.abc import Mapping

from workers.merging.arithmetic.mixtures import TASK_ARITHMETIC
from workers.merging.kernel import Ingredients, Kernel, Mixture, Preparation, Survey
from workers.merging.methods.arcee_fusion import arcee_fusion
from workers.merging.methods.breadcrumbs import breadcrumbs
from workers.merging.methods.breadcrumbs_ties import breadcrumbs_ties
from workers.merging.methods.compeft import SURVEY as COMPEFT_SURVEY
from workers.merging.methods.compeft import compeft
from workers.merging.methods.consensus import CONSENSUS_SURVEY, consensus, tall_mask
from workers.merging.methods.dare import dare
from workers.merging.methods.dare_linear import dare_linear
from workers.merging.methods.dare_ties import dare_ties
from workers.merging.methods.della import della
from workers.merging.methods.della_linear import della_linear
from workers.merging.methods.fisher import FISHER_SURVEY, fisher
from workers.merging.methods.gradient_matching import gradient_matching
from workers.merging.methods.grafting import SURVEY as GRAFTING_SURVEY
from workers.merging.methods.grafting import grafting
from workers.merging.methods.iso_c import ISO_C, iso_c
from workers.merging.methods.karcher import KARCHER, karcher
from workers.merging.methods.linear import LINEAR, linear
from workers.merging.methods.model_stock import MODEL_STOCK, model_stock
from workers.merging.methods.multislerp import MULTISLERP, multislerp
from workers.merging.methods.nearswap import nearswap
from workers.merging.methods.nuslerp import NUSLERP, nuslerp
from workers.merging.methods.opcm import OPCM, OPCM_SURVEY, opcm
from workers.merging.methods.passthrough import passthrough
from workers.merging.methods.pcb import PCB_SURVEY, pcb
from workers.merging.methods.r_tsvm import R_TSVM, r_tsvm
from workers.merging.methods.ram import ram, ramplus_tl
from workers.merging.methods.regmean import regmean
from workers.merging.methods.sce import sce
from workers.merging.methods.self_positioning import (
    SELF_POSITIONING,
    SELF_POSITIONING_SURVEY,
    self_positioning,
)
from workers.merging.methods.slerp import SLERP, slerp
from workers.merging.methods.sparse_soup import sparse_soup
from workers.merging.methods.svd_scaling import SVD_SCALING, svd_scaling
from workers.merging.methods.task_arithmetic import task_arithmetic
from workers.merging.methods.ties import SURVEY as TIES_SURVEY
from workers.merging.methods.ties import ties
from workers.merging.methods.tsvm import TSVM, tsvm
from workers.merging.methods.twin_merging import TWIN_MERGING, twin_merging
from workers.merging.methods.varm import VARM, varm
from workers.merging.thinning.outliers import SURVEY as BREADCRUMBS_SURVEY

__all__ = ["KERNELS", "MIXTURES", "PREPARATIONS", "SURVEYS", "Ingredients", "Kernel"]

KERNELS: Mapping[str, Kernel] = {
    # averages
    "linear": linear,
    "slerp": slerp,
    "nuslerp": nuslerp,
    "multislerp": multislerp,
    "karcher": karcher,
    "model_stock": model_stock,
    "self_positioning": self_positioning,
    "sparse_soup": sparse_soup,
    "passthrough": passthrough,
    # task vectors
    "task_arithmetic": task_arithmetic,
    "ties": ties,
    "dare_linear": dare_linear,
    "dare_ties": dare_ties,
    "dare": dare,
    "della": della,
    "della_linear": della_linear,
    "breadcrumbs": breadcrumbs,
    "breadcrumbs_ties": breadcrumbs_ties,
    "compeft": compeft,
    "grafting": grafting,
    # competition
    "varm": varm,
    "sce": sce,
    "ram": ram,
    "ramplus_tl": ramplus_tl,
    "nearswap": nearswap,
    "arcee_fusion": arcee_fusion,
    "pcb": pcb,
    "consensus": consensus,
    "tall_mask": tall_mask,
    # spectral
    "tsvm": tsvm,
    "r_tsvm": r_tsvm,
    "iso_c": iso_c,
    "opcm": opcm,
    "twin_merging": twin_merging,
    "svd_scaling": svd_scaling,
    # calibrated
    "fisher": fisher,
    "gradient_matching": gradient_matching,
    "regmean": regmean,
}

SURVEYS: Mapping[str, Survey] = {
    "pcb": PCB_SURVEY,
    "consensus": CONSENSUS_SURVEY,
    "tall_mask": CONSENSUS_SURVEY,
    "opcm": OPCM_SURVEY,
    "ties": TIES_SURVEY,
    "breadcrumbs": BREADCRUMBS_SURVEY,
    "breadcrumbs_ties": BREADCRUMBS_SURVEY,
    "compeft": COMPEFT_SURVEY,
    "grafting": GRAFTING_SURVEY,
    "self_positioning": SELF_POSITIONING_SURVEY,
    "fisher": FISHER_SURVEY,
}
"""The methods that must see the whole model before the first tensor."""

MIXTURES: Mapping[str, Mixture] = {
    "linear": LINEAR,
    "slerp": SLERP,
    "nuslerp": NUSLERP,
    "multislerp": MULTISLERP,
    "karcher": KARCHER,
    "model_stock": MODEL_STOCK,
    "self_positioning": SELF_POSITIONING,
    "task_arithmetic": TASK_ARITHMETIC,
    "varm": VARM,
}
"""The methods that are weighted sums of their inputs once some inner products are known."""

PREPARATIONS: Mapping[str, Preparation] = {
    "tsvm": TSVM,
    "r_tsvm": R_TSVM,
    "iso_c": ISO_C,
    "opcm": OPCM,
    "twin_merging": TWIN_MERGING,
    "svd_scaling": SVD_SCALING,
}
"""The methods that sum other vectors than the task vectors, expensive to make and worth keeping."""
