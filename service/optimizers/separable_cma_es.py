"""Separable CMA-ES: for genomes too long for a full covariance matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from service.optimizers.cma_es import CmaEs
from service.optimizers.options import Option


class SeparableCmaEs(CmaEs):
    """CMA-ES whose distribution keeps to the axes (Ros and Hansen, PPSN 2008).

    An update costs O(n) instead of O(n^2), and learns n + 2 times faster.  It does not see that two
    genes must change together.
    """

    diagonal: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        name: option
        for name, option in CmaEs.declared_options.items()
        if name != "learning_rate_adaptation"  # which is defined for a full covariance matrix
    }
