"""Optimizers by name, as the experiments name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.optimizers import OPTIMIZERS, Optimizer, OptimizerSetup, optimizer_named

FOREIGN = ("nevergrad:TwoPointsDE", pytest.param("nevergrad:PSO", marks=pytest.mark.slow))
WITH_OPTIONS = {"cma_es, learning_rate_adaptation": {"learning_rate_adaptation": "always"}}


@pytest.fixture(params=(*sorted(OPTIMIZERS), *FOREIGN, *WITH_OPTIONS))
def optimizer_type(request: pytest.FixtureRequest) -> Callable[[OptimizerSetup], Optimizer]:
    kind = optimizer_named(request.param.split(",")[0])
    if request.param not in WITH_OPTIONS:
        return kind
    options = WITH_OPTIONS[request.param]
    return lambda setup: kind(replace(setup, options={**options, **setup.options}))
