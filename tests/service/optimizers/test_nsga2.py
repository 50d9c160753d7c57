from __future__ import annotations

import math
from statistics import median

import moocore
import numpy as np
import pytest

from search_spaces.genome import to_unit_cube
from service.optimizers import Evaluation, Optimizer, OptimizerSetup
from service.optimizers.nsga2 import Nsga2, ranks_and_crowding
from service.optimizers.random_search import RandomSearch
from service.optimizers.sms_emoa import SmsEmoa, contributions
from service.optimizers.variation import crossover, mutation
from tests.service.synthetic import MIXED_VARIABLES, noisy, reals, search, trade_off

SEEDS = range(5)
TWENTY = reals(20)
BOTH = (1.0, 1.0)


def volume(history: list[Evaluation]) -> float:
    fitness = np.array([evaluation.fitness for evaluation in history])
    return float(moocore.hypervolume(fitness, ref=(0.0, 0.0), maximise=True))


@pytest.mark.parametrize("optimizer_type", [Nsga2, SmsEmoa])
@pytest.mark.parametrize("items", [None, 100])
def test_three_hundred_candidates_reach_a_far_better_front_than_random_search(
    items: int | None, optimizer_type: type[Optimizer]
) -> None:
    skill = trade_off(TWENTY)
    landscape = skill if items is None else noisy(skill, items=items)
    evolved, drawn = (
        median(volume(search(kind(OptimizerSetup(TWENTY, s, BOTH)), landscape, 300)) for s in SEEDS)
        for kind in (optimizer_type, RandomSearch)
    )
    assert evolved > 1.3 * drawn


def test_the_front_is_wide_not_one_point() -> None:
    history = search(Nsga2(OptimizerSetup(reals(6), 0, BOTH)), trade_off(reals(6)), 300)
    ends = [
        max(history, key=lambda e: e.fitness[0]).fitness,
        max(history, key=lambda e: e.fitness[1]).fitness,
    ]
    assert ends[0][0] > ends[1][0] + 0.4
    assert ends[1][1] > ends[0][1] + 0.4


def test_half_of_the_first_generation_lies_between_the_baselines() -> None:
    variables = reals(10)
    optimizer = Nsga2(OptimizerSetup(variables, 0, BOTH, sigma=0.02))
    optimizer.tell(
        [
            Evaluation(0, (0.6,) * 10, (0.9, 0.1), baseline=True),
            Evaluation(1, (0.9,) * 10, (0.1, 0.9), baseline=True),
        ]
    )
    positions = np.array([to_unit_cube(variables, genome) for genome in optimizer.ask(range(2, 202))])
    between = ((positions > 0.35) & (positions < 0.65)).all(axis=1)
    assert 70 < between.sum() < 130


def test_a_baseline_that_nothing_dominates_stays_a_parent() -> None:
    variables = reals(4)
    optimizer = Nsga2(OptimizerSetup(variables, 0, BOTH, population=4))
    champion = Evaluation(0, (1.5,) * 4, (1.0, 1.0), baseline=True)
    optimizer.tell([champion])
    for start in range(1, 81, 4):
        genomes = optimizer.ask(range(start, start + 4))
        optimizer.tell([Evaluation(start + i, genome, (0.5, 0.5)) for i, genome in enumerate(genomes)])
    genes = [gene for genome in optimizer.ask(range(81, 121)) for gene in genome]
    assert genes.count(1.5) > 40


def test_no_candidate_is_tried_twice_where_there_is_anything_new() -> None:
    history = search(Nsga2(OptimizerSetup(MIXED_VARIABLES, 0, BOTH)), trade_off(MIXED_VARIABLES), 200)
    genomes = [evaluation.genome for evaluation in history]
    assert len(set(genomes)) == len(genomes)


def test_ranks_and_crowding_of_a_front_worked_out_by_hand() -> None:
    fitness = [(0.0, 4.0), (1.0, 3.0), (3.0, 1.0), (4.0, 0.0), (0.5, 0.5), (0.0, 0.0)]
    ranks, crowding = ranks_and_crowding(fitness)
    assert ranks.tolist() == [0, 0, 0, 0, 1, 2]
    assert crowding.tolist() == [math.inf, 1.5, 1.5, math.inf, math.inf, math.inf]


def test_who_breaks_constraints_comes_after_all_others_by_how_much() -> None:
    fitness = [(0.1, 0.1), (9.0, 9.0), (0.2, 0.2), (5.0, 5.0), (8.0, 8.0)]
    ranks, _ = ranks_and_crowding(fitness, [0.0, 2.0, 0.0, 0.5, 0.5])
    assert ranks.tolist() == [1, 3, 0, 2, 2]
    assert ranks_and_crowding(fitness[3:], [1.0, 0.5])[0].tolist() == [2, 1]


def test_contributions_worked_out_by_hand() -> None:
    front = np.array([(0.0, 4.0), (1.0, 2.0), (4.0, 0.0), (1.0, 2.0)])
    assert contributions(front) == pytest.approx([0.5, 0.0, 0.75 * 1.0, 0.0])
    assert contributions(front[:3]) == pytest.approx([0.5, 0.25 * 0.5, 0.75])


def test_of_one_objective_equals_add_nothing() -> None:
    assert contributions(np.array([[0.5], [0.5]])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("optimizer_type", [Nsga2, SmsEmoa])
def test_the_front_found_keeps_the_constraints(optimizer_type: type[Optimizer]) -> None:
    variables = reals(6)
    skill = trade_off(variables)
    optimizer = optimizer_type(OptimizerSetup(variables, 0, BOTH))
    last: list[Evaluation] = []
    for start in range(0, 400, optimizer.population):
        numbers = range(start, start + optimizer.population)
        genomes = optimizer.ask(numbers)
        last = [
            Evaluation(n, g, skill(g), violation=max(0.0, 0.4 - skill(g)[0]))
            for n, g in zip(numbers, genomes, strict=True)
        ]
        optimizer.tell(last)
    assert sum(e.violation == 0 for e in last) > len(last) / 2


def test_equal_points_are_as_crowded_as_can_be() -> None:
    ranks, crowding = ranks_and_crowding([(1.0, 1.0, 1.0)] * 5)
    assert ranks.tolist() == [0] * 5
    assert np.isinf(crowding).sum() <= 2 * 3
    assert (crowding == 0).sum() == 3


def test_children_lie_in_the_cube_and_near_their_parents() -> None:
    rng = np.random.default_rng(0)
    one, other = np.array([0.0, 0.2, 0.5, 1.0]), np.array([0.1, 0.3, 0.5, 0.9])
    children = np.array([crossover(one, other, rng) for _ in range(4000)])
    assert children.min() >= 0.0
    assert children.max() <= 1.0
    assert (children[:, 2] == 0.5).all()
    distance = np.minimum(abs(children - one), abs(children - other))
    assert np.quantile(distance, 0.95) < 0.05
    mixed = children[:, 1][children[:, 1] != 0.2]
    assert 0.4 < len(mixed) / 4000 < 0.5  # 0.9 x 0.5
    assert np.mean(mixed) == pytest.approx(0.25, abs=0.005)


def test_one_gene_in_n_is_mutated_and_discrete_ones_are_drawn_afresh() -> None:
    rng = np.random.default_rng(0)
    start, is_real = np.full(4, 0.3), np.array([True, True, True, False])
    mutants = np.array([mutation(start, is_real, rng) for _ in range(8000)])
    assert np.mean(mutants != start, axis=0) == pytest.approx(0.25, abs=0.02)
    assert 0.0 <= mutants.min() <= mutants.max() <= 1.0
    moved = mutants[:, 0][mutants[:, 0] != 0.3]
    assert np.mean(abs(moved - 0.3)) < 0.06
    drawn = mutants[:, 3][mutants[:, 3] != 0.3]
    assert np.std(drawn) == pytest.approx(12**-0.5, abs=0.02)
