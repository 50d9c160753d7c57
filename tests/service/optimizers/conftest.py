"""Optimizers by name, as the experiments name them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.optimizers import OPTIMIZERS, Optimizer, OptimizerSetup, optimizer_named

FOREIGN = ("nevergrad:TwoPointsDE", "nevergrad:PSO")


@pytest.fixture(params=(*sorted(OPTIMIZERS), *FOREIGN))
def optimizer_type(request: pytest.FixtureRequest) -> Callable[[OptimizerSetup], Optimizer]:
    return optimizer_named(request.param)
