"""Merging: one kernel per file, a plan of which tensors feed which, and the stream that follows it.

`KERNELS` has the keys of `search_spaces.methods.METHODS`.  To add a method, declare it there (a file
per family in `search_spaces/catalogue`), write its kernel in a file of its own and name it here.
"""

from __future__ import annotations

from collections.abc import Mapping

from workers.merging.arcee_fusion import arcee_fusion
from workers.merging.breadcrumbs import breadcrumbs
from workers.merging.breadcrumbs_ties import breadcrumbs_ties
from workers.merging.compeft import SURVEY as COMPEFT_SURVEY
from workers.merging.compeft import compeft
from workers.merging.consensus import CONSENSUS_SURVEY, consensus, tall_mask
from workers.merging.dare import dare
from workers.merging.dare_linear import dare_linear
from workers.merging.dare_ties import dare_ties
from workers.merging.della import della
from workers.merging.della_linear import della_linear
from workers.merging.fisher import FISHER_SURVEY, fisher
from workers.merging.gradient_matching import gradient_matching
from workers.merging.grafting import SURVEY as GRAFTING_SURVEY
from workers.merging.grafting import grafting
from workers.merging.iso_c import ISO_C, iso_c
from workers.merging.karcher import KARCHER, karcher
from workers.merging.kernel import Ingredients, Kernel, Mixture, Preparation, Survey
from workers.merging.linear import LINEAR, linear
from workers.merging.mixtures import TASK_ARITHMETIC
from workers.merging.model_stock import MODEL_STOCK, model_stock
from workers.merging.multislerp import MULTISLERP, multislerp
from workers.merging.nearswap import nearswap
from workers.merging.nuslerp import NUSLERP, nuslerp
from workers.merging.opcm import OPCM, OPCM_SURVEY, opcm
from workers.merging.outliers import SURVEY as BREADCRUMBS_SURVEY
from workers.merging.passthrough import passthrough
from workers.merging.pcb import PCB_SURVEY, pcb
from workers.merging.r_tsvm import R_TSVM, r_tsvm
from workers.merging.ram import ram, ramplus_tl
from workers.merging.regmean import regmean
from workers.merging.sce import sce
from workers.merging.self_positioning import SELF_POSITIONING, SELF_POSITIONING_SURVEY, self_positioning
from workers.merging.slerp import SLERP, slerp
from workers.merging.sparse_soup import sparse_soup
from workers.merging.svd_scaling import SVD_SCALING, svd_scaling
from workers.merging.task_arithmetic import task_arithmetic
from workers.merging.ties import SURVEY as TIES_SURVEY
from workers.merging.ties import ties
from workers.merging.tsvm import TSVM, tsvm
from workers.merging.twin_merging import TWIN_MERGING, twin_merging
from workers.merging.varm import VARM, varm

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
"""The methods that sum other vectors than the task vectors, dear to make and worth keeping."""
