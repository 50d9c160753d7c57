"""Merging: one kernel per file, a plan of which tensors feed which, and the stream that follows it.

`KERNELS` has the keys of `search_spaces.methods.METHODS`.  To add a method, declare it there, write
its kernel in a file of its own and name it here.
"""

from __future__ import annotations

from collections.abc import Mapping

from workers.merging.dare_linear import dare_linear
from workers.merging.dare_ties import dare_ties
from workers.merging.kernel import Ingredients, Kernel
from workers.merging.linear import linear
from workers.merging.passthrough import passthrough
from workers.merging.slerp import slerp
from workers.merging.task_arithmetic import task_arithmetic
from workers.merging.ties import ties

__all__ = ["KERNELS", "Ingredients", "Kernel"]

KERNELS: Mapping[str, Kernel] = {
    "linear": linear,
    "slerp": slerp,
    "task_arithmetic": task_arithmetic,
    "ties": ties,
    "dare_linear": dare_linear,
    "dare_ties": dare_ties,
    "passthrough": passthrough,
}
