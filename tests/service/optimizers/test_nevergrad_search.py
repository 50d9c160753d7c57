from __future__ import annotations

import sys
from statistics import median

import numpy as np
import pytest

from search_spaces.errors import SpaceError, UnknownNameError
from service.optimizers import OptimizerSetup, optimizer_named
from service.optimizers.random_search import RandomSearch
from tests.service.synthetic import ellipsoid, reals, search

TEN = reals(10)


@pytest.mark.parametrize("name", ["CMA", "DE", "OnePlusOne"])
def test_it_climbs_better_than_random_search_and_goes_on_after_a_restart(name: str) -> None:
    landscape = ellipsoid(TEN, condition=1.0)

    def best(kind: type[RandomSearch] | None, seed: int) -> float:
        setup = OptimizerSetup(TEN, seed, budget=300)
        optimizer = kind(setup) if kind else optimizer_named(f"nevergrad:{name}")(setup)
        history = search(optimizer, landscape, 300)
        if kind is None:
            again = optimizer_named(f"nevergrad:{name}")(setup)
            again.tell(history)
            assert again.ask(range(300, 325)) == optimizer.ask(range(300, 325))
        return max(evaluation.fitness[0] for evaluation in history)

    found, drawn = (median(best(kind, seed) for seed in range(3)) for kind in (None, RandomSearch))
    assert found > drawn


def test_candidates_of_a_generation_differ_whoever_asks_first() -> None:
    optimizer = optimizer_named("nevergrad:DE")(OptimizerSetup(TEN, 0, population=8))
    backwards = [optimizer.ask([number])[0] for number in reversed(range(8))]
    assert optimizer.ask(range(8)) == backwards[::-1]
    assert len(set(backwards)) == 8


def test_the_generators_of_the_process_are_left_alone() -> None:
    np.random.seed(1)  # noqa: NPY002
    undisturbed = np.random.rand(3)  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    search(optimizer_named("nevergrad:CMA")(OptimizerSetup(TEN, 0)), ellipsoid(TEN), 40)
    assert (np.random.rand(3) == undisturbed).all()  # noqa: NPY002


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"optimizer\.algorithm: .*did you mean 'TwoPointsDE'"):
        optimizer_named("nevergrad:TwoPointDE")(OptimizerSetup(TEN, 0))
    with pytest.raises(UnknownNameError, match="use one of: CMA, DE, "):
        optimizer_named("nevergrad:qqqq")(OptimizerSetup(TEN, 0))


def test_one_that_keeps_threads_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"nevergrad's Cobyla cannot search here .* use another"):
        optimizer_named("nevergrad:Cobyla")(OptimizerSetup(TEN, 0))


def test_without_nevergrad_its_optimizers_say_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nevergrad", None)
    with pytest.raises(SpaceError, match=r"nevergrad cannot be imported .*evomerge\[nevergrad\]"):
        optimizer_named("nevergrad:DE")(OptimizerSetup(TEN, 0))
