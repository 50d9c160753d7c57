"""MAP-Elites, CMA-ME and CMA-MAE fill archives; so does nothing that does not look for it."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest

from service.archives.grid import GridArchive, MeasureAxis
from service.optimizers import OPTIMIZERS, Evaluation, OptimizerSetup
from service.optimizers.cma_me import CmaMae
from service.optimizers.map_elites import MapElites
from tests.service.synthetic import ellipsoid, measured, reals, search

TEN, TWENTY = reals(10), reals(20)
AXES = (MeasureAxis("one", 0.1, 0.9, 8), MeasureAxis("other", 0.1, 0.9, 8))
BEST = -0.06  # from which on a candidate of this sphere is worth something


def qd_score(name: str, seed: int) -> float:
    optimizer = OPTIMIZERS[name](OptimizerSetup(TWENTY, seed, measures=AXES))
    archive = GridArchive(AXES)
    for told in search(optimizer, ellipsoid(TWENTY, condition=1.0, seed=99), 800):
        archive.add(told.number, told.fitness[0], measured(TWENTY, told.genome, AXES))
    return sum(max(elite.quality - BEST, 0.0) for elite in archive)


@pytest.mark.parametrize("name", ["map_elites", "cma_me", "cma_mae"])
def test_more_kinds_of_good_models_are_found_than_by_looking_for_the_best(name: str) -> None:
    found = {n: median(qd_score(n, seed) for seed in range(3)) for n in (name, "random", "cma_es")}
    assert found[name] > 1.15 * found["cma_es"]
    assert found[name] > 2 * found["random"]


def test_children_come_from_elites_and_only_from_these() -> None:
    variables = reals(4)
    options = {"iso_sigma": 0.01}
    optimizer = MapElites(OptimizerSetup(variables, 0, measures=AXES[:1], population=3, options=options))
    told = [
        Evaluation(0, (0.3,) * 4, (0.9,), measures=(0.3,)),
        Evaluation(1, (1.2,) * 4, (0.8,), measures=(0.3,)),  # another is better there
        Evaluation(2, (0.6,) * 4, (0.7,), measures=(0.7,)),
        Evaluation(3, (1.4,) * 4, (5.0,), measures=(0.5,), violation=0.1),
        Evaluation(4, (1.5,) * 4, (5.0,)),  # it failed: its place is unknown
    ]
    optimizer.tell(told)
    origins = [optimizer.origin(number) for number in range(5, 60)]
    assert {ancestor for origin in origins for ancestor in origin.ancestors} == {0, 2}
    genes = np.array(optimizer.ask(range(5, 60)))
    assert np.abs(genes - 0.45).max() < 0.5


def test_the_first_mean_is_the_best_baseline() -> None:
    optimizer = CmaMae(OptimizerSetup(TEN, 0, sigma=0.01, measures=AXES))
    optimizer.tell(
        [
            Evaluation(0, (0.3,) * 10, (0.5,), baseline=True, measures=(0.3, 0.3)),
            Evaluation(1, (1.2,) * 10, (0.4,), baseline=True, measures=(0.6, 0.6)),
        ]
    )
    np.testing.assert_allclose(np.array(optimizer.ask(range(2, 20))), 0.3, atol=0.1)


def test_fitness_below_zero_is_worth_a_cell_to_slow_thresholds() -> None:
    """Log-probabilities are negative: CMA-MAE's thresholds start below the worst, not at 0."""
    optimizer = CmaMae(OptimizerSetup(TEN, 0, measures=AXES))
    landscape = ellipsoid(TEN, condition=1.0, seed=99)
    history = search(optimizer, lambda genome: (landscape(genome)[0] - 50.0,), 400)
    first, last = (np.mean([e.fitness[0] for e in part]) for part in (history[:40], history[-40:]))
    assert last > first


@pytest.mark.parametrize("name", ["cma_me", "cma_mae"])
def test_nothing_is_compiled_while_workers_wait(name: str) -> None:
    """What numba compiles anew in every process takes it seconds, when the first batch is told."""
    from ribs.emitters.opt import CMAEvolutionStrategy

    search(OPTIMIZERS[name](OptimizerSetup(TEN, 0, measures=AXES)), ellipsoid(TEN), 60)
    compiled = [CMAEvolutionStrategy._calc_cov_update, CMAEvolutionStrategy._transform_and_check_sol]
    assert [function.signatures for function in compiled] == [[], []]
