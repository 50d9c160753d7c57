"""Optimizers by name, as the experiments name them."""

from __future__ import annotations

import pytest

from service.optimizers import OPTIMIZERS, Optimizer


@pytest.fixture(params=sorted(OPTIMIZERS))
def optimizer_type(request: pytest.FixtureRequest) -> type[Optimizer]:
    return OPTIMIZERS[request.param]
