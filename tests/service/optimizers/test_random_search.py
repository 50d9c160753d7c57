from __future__ import annotations

import numpy as np

from search_spaces.genome import to_unit_cube
from service.optimizers import OptimizerSetup
from service.optimizers.random_search import RandomSearch
from tests.service.synthetic import MIXED_VARIABLES, reals, search, trade_off


def test_every_part_of_the_space_is_equally_likely() -> None:
    genomes = RandomSearch(OptimizerSetup(MIXED_VARIABLES, 0)).ask(range(3000))
    positions = np.array([to_unit_cube(MIXED_VARIABLES, genome) for genome in genomes])
    np.testing.assert_allclose(positions.mean(axis=0), 0.5, atol=0.02)
    assert {genome[2] for genome in genomes} == {"linear", "slerp", "ties"}


def test_every_feasible_part_is_equally_likely() -> None:
    setup = OptimizerSetup(reals(2), 0, is_feasible=lambda genome: float(genome[0]) < float(genome[1]))
    positions = np.array([to_unit_cube(reals(2), genome) for genome in RandomSearch(setup).ask(range(2000))])
    assert (positions[:, 0] <= positions[:, 1]).all()
    np.testing.assert_allclose(positions.mean(axis=0), (1 / 3, 2 / 3), atol=0.02)


def test_nothing_is_learned() -> None:
    setup = OptimizerSetup(MIXED_VARIABLES, 0, (1.0, 1.0))
    history = search(RandomSearch(setup), trade_off(MIXED_VARIABLES), 40)
    assert [evaluation.genome for evaluation in history] == RandomSearch(setup).ask(range(40))
