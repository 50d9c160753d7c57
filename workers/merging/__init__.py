"""Merging: one kernel per file, a plan of which tensors feed which, and the stream that follows it.

`KERNELS` has the keys of `search_spaces.methods.METHODS`.  To add a method, declare it there (a file
per family in `search_spaces/catalogue`), write its kernel in a file of its own and name it here.
"""

from __future__ import annotations

from collections.abc import Mapping

from workers.merging.dare_linear import dare_linear
from workers.merging.dare_ties import dare_ties
from workers.merging.kernel import Ingredients, Kernel, Mixture, Preparation, Survey
from workers.merging.linear import linear
from workers.merging.passthrough import passthrough
from workers.merging.slerp import slerp
from workers.merging.task_arithmetic import task_arithmetic
from workers.merging.ties import ties

__all__ = ["KERNELS", "MIXTURES", "PREPARATIONS", "SURVEYS", "Ingredients", "Kernel"]

KERNELS: Mapping[str, Kernel] = {
    # averages
    "linear": linear,
    "slerp": slerp,
    "passthrough": passthrough,
    # task vectors
    "task_arithmetic": task_arithmetic,
    "ties": ties,
    "dare_linear": dare_linear,
    "dare_ties": dare_ties,
    # competition
    # spectral
    # calibrated
}

SURVEYS: Mapping[str, Survey] = {}
"""The methods that must see the whole model before the first tensor."""

MIXTURES: Mapping[str, Mixture] = {}
"""The methods that are weighted sums of their inputs once some inner products are known."""

PREPARATIONS: Mapping[str, Preparation] = {}
"""The methods that sum other vectors than the task vectors, dear to make and worth keeping."""
