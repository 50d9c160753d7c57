from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from search_spaces.genome import (
    Choice,
    Genome,
    Integer,
    Real,
    Variable,
    from_unit_cube,
    initial_genome,
    to_unit_cube,
)
from service.optimizers import Evaluation, OptimizerSetup
from service.optimizers.cma_es import CmaEs
from service.optimizers.covariance import CovarianceAdaptation
from service.optimizers.random_search import RandomSearch
from service.optimizers.restarts import Restarts, Start
from tests.service.synthetic import ellipsoid, evaluations, noisy, reals, search, trade_off

REPOSITORY = Path(__file__).parents[3]
SEEDS = range(5)
TWENTY = reals(20)


def best(history: list[Evaluation]) -> float:
    return max(evaluation.fitness[0] for evaluation in history)


def test_three_hundred_candidates_come_far_closer_to_the_top_than_random_search() -> None:
    landscape = ellipsoid(TWENTY)
    evolved = median(best(search(CmaEs(OptimizerSetup(TWENTY, s)), landscape, 300)) for s in SEEDS)
    drawn = median(best(search(RandomSearch(OptimizerSetup(TWENTY, s)), landscape, 300)) for s in SEEDS)
    assert evolved > drawn / 4


def test_noise_of_a_hundred_items_does_not_lead_it_astray() -> None:
    skill = trade_off(TWENTY)

    def found(optimizer_type: type[CmaEs | RandomSearch], seed: int) -> float:
        setup = OptimizerSetup(TWENTY, seed, (1.0, 1.0))
        history = search(optimizer_type(setup), noisy(skill, items=100), 300)
        winner = max(history, key=lambda evaluation: sum(evaluation.fitness))
        return sum(skill(winner.genome))

    assert median(found(CmaEs, s) for s in SEEDS) > median(found(RandomSearch, s) for s in SEEDS) + 0.1


def test_a_good_baseline_is_a_head_start() -> None:
    landscape = ellipsoid(TWENTY, seed=3)
    near = from_unit_cube(TWENTY, np.random.default_rng(3).uniform(0.15, 0.85, 20) + 0.05)
    far = from_unit_cube(TWENTY, np.full(20, 0.95))
    usual = {"learning_rate_adaptation": "never"}  # whatever baselines tell of items
    for budget in (40, 120):
        helped, alone = (
            median(
                best(search(CmaEs(setup), landscape, budget, baselines=b)[len(b) :])
                for setup in (OptimizerSetup(TWENTY, s, options=usual) for s in SEEDS)
            )
            for b in ([far, near], [])
        )
        assert helped > alone


def test_the_search_starts_around_the_best_baseline_even_if_asked_before() -> None:
    variables = reals(6)
    good, bad = (0.3,) * 6, (1.2,) * 6
    baselines = [Evaluation(0, bad, (0.1,), baseline=True), Evaluation(1, good, (0.9,), baseline=True)]
    setup = OptimizerSetup(variables, 0, sigma=0.01)
    hasty, patient = CmaEs(setup), CmaEs(setup)
    for baseline in baselines:
        hasty.ask(range(3))
        hasty.tell([baseline])
    patient.tell(baselines)
    assert hasty.ask(range(2, 12)) == patient.ask(range(2, 12))
    positions = np.array([to_unit_cube(variables, genome) for genome in patient.ask(range(2, 12))])
    np.testing.assert_allclose(positions, 0.2, atol=0.05)


def test_without_baselines_the_search_starts_at_the_initial_values() -> None:
    variables = tuple(Real(f"w{i}", 0.0, 1.0, 0.1 * i + 0.2) for i in range(5))
    genomes = CmaEs(OptimizerSetup(variables, 0, sigma=0.01)).ask(range(10))
    positions = np.array([to_unit_cube(variables, genome) for genome in genomes])
    np.testing.assert_allclose(positions, np.tile([0.2, 0.3, 0.4, 0.5, 0.6], (10, 1)), atol=0.05)


def test_a_parent_is_no_start_but_stays_the_best_so_far() -> None:
    variables = reals(6)  # each parent has two layers; 0.75 of 1.5 at the start
    parent = Evaluation(0, (1.0, 0.0, 0.0) * 2, (0.9,), baseline=True)
    average = Evaluation(1, (1 / 3,) * 6, (0.1,), baseline=True)
    optimizer = CmaEs(OptimizerSetup(variables, 0, sigma=0.01))
    optimizer.tell([parent, average])
    positions = np.array([to_unit_cube(variables, genome) for genome in optimizer.ask(range(2, 12))])
    np.testing.assert_allclose(positions, 0.5, atol=0.05)


def test_samples_beyond_the_bounds_bounce_back() -> None:
    variables = reals(8)
    optimizer = CmaEs(OptimizerSetup(variables, 0, sigma=0.5))
    optimizer.tell([Evaluation(0, (0.01,) * 8, (1.0,), baseline=True)])
    positions = np.array([to_unit_cube(variables, genome) for genome in optimizer.ask(range(1, 200))])
    assert positions.min() >= 0.0
    assert positions.max() <= 1.0
    assert np.mean((positions == 0.0) | (positions == 1.0)) < 0.01  # clipped samples would pile up there


def test_a_converged_run_is_followed_by_others() -> None:
    variables = reals(2)
    optimizer = CmaEs(OptimizerSetup(variables, 0))
    history = search(optimizer, ellipsoid(variables, condition=1.0), 1500)
    spread = [
        float(np.ptp([e.genome for e in history[i : i + optimizer.population]], axis=0).max())
        for i in range(0, 1500, optimizer.population)
    ]
    narrowest = int(np.argmin(spread[:150]))
    assert spread[narrowest] < 1e-3
    assert max(spread[narrowest:]) > 0.1
    again = CmaEs(OptimizerSetup(variables, 0))
    again.tell(history)
    assert again.ask(range(1500, 1506)) == optimizer.ask(range(1500, 1506))


def test_the_mean_is_the_best_runs_even_while_another_begins_anywhere() -> None:
    variables = reals(2)
    landscape, optimizer = ellipsoid(variables, condition=1.0), CmaEs(OptimizerSetup(variables, 0))
    widths, means = [], []
    for start in range(0, 1500, optimizer.population):
        numbers = range(start, start + optimizer.population)
        told = evaluations(landscape, numbers, optimizer.ask(numbers))
        optimizer.tell(told)
        widths.append(float(np.ptp([e.genome for e in told], axis=0).max()))
        mean = optimizer.mean()
        assert mean is not None
        means.append(landscape(mean)[0])
    converged = next(i for i, width in enumerate(widths) if width < 1e-3)
    assert max(widths[converged:]) > 0.1  # another run has begun since
    assert min(means[converged:]) > -1e-6


def test_learning_slower_arrives_closer_where_noise_drowns_what_is_to_be_learned() -> None:
    skill = trade_off(TWENTY, reach=1.0)

    def found(seed: int, when: str) -> float:
        setup = OptimizerSetup(TWENTY, seed, (1.0, 1.0), options={"learning_rate_adaptation": when})
        optimizer = CmaEs(setup)
        search(optimizer, noisy(skill, items=25), 400)
        mean = optimizer.mean()
        return sum(skill(mean)) if mean else 0.0

    slower, usual = (np.array([found(s, when) for s in range(8)]) for when in ("always", "never"))
    assert np.median(slower) > np.median(usual)
    assert (slower > usual).sum() >= 6


@pytest.mark.parametrize(("items", "slower"), [(0, False), (12, True), (50, True), (51, False)])
def test_how_fast_it_learns_goes_by_how_many_items_fitness_is_the_mean_of(
    items: int, *, slower: bool
) -> None:
    """Two objectives of so many items each, equal in weight, are as noisy as one of twice as many."""
    variables, skill = reals(4), trade_off(reals(4))

    def searched(when: str) -> list[Genome]:
        optimizer = CmaEs(
            OptimizerSetup(variables, 0, (1.0, 1.0), options={"learning_rate_adaptation": when})
        )
        told = ((0.5,) * items,) * 2
        optimizer.tell([Evaluation(0, initial_genome(variables), (0.1, 0.1), baseline=True, items=told)])
        for start in range(1, 60, 8):
            numbers = range(start, start + 8)
            optimizer.tell(evaluations(skill, numbers, optimizer.ask(numbers)))
        return optimizer.ask(range(60, 70))

    assert searched("auto") == searched("always" if slower else "never")
    assert searched("always") != searched("never")


@pytest.mark.parametrize(
    "variable", [Integer("layers", 0, 9, 0), Choice("kind", ("a", "b", "c"), "a")], ids=lambda v: v.name
)
def test_discrete_variables_stay_alive(variable: Variable) -> None:
    variables = (variable, *reals(3))
    wanted = 9 if isinstance(variable, Integer) else "c"
    landscape = trade_off(reals(3))

    def fitness(genome: tuple[float | int | str, ...]) -> tuple[float, ...]:
        here = to_unit_cube(variables, genome)[0] - variables[0].to_unit(wanted)
        return (sum(landscape(genome[1:])) - abs(float(here)),)

    def found(seed: int) -> bool:
        history = search(CmaEs(OptimizerSetup(variables, seed)), fitness, 200)
        return max(history, key=lambda evaluation: evaluation.fitness).genome[0] == wanted

    assert sum(found(seed) for seed in range(5)) >= 4


def test_hundreds_of_variables_are_no_other_case() -> None:
    variables = reals(320)
    history = search(CmaEs(OptimizerSetup(variables, 0, sigma=0.1)), ellipsoid(variables, condition=1.0), 105)
    assert best(history[-21:]) > best(history[:21])


def test_an_update_that_fails_is_not_passed_over() -> None:
    run = CovarianceAdaptation(
        np.full(2, 0.5), steps=np.full(2, 0.1), population=4, smallest_steps=np.zeros(2)
    )
    points = [np.full(2, 0.1), np.full(2, 0.2), np.full(2, 0.3), np.full(2, np.nan)]
    with pytest.raises(FloatingPointError, match="could not be updated after 4 candidates"):
        run.tell(points, [0.0, 1.0, 2.0, -1.0])


def test_large_and_small_runs_share_the_budget() -> None:
    first = Start(np.full(3, 0.5), 0.2, 8)
    restarts = Restarts(first, seed=0, largest=30, anywhere=lambda rng: rng.random(3))
    best = np.full(3, 0.9)
    starts = [restarts.after(spent, best) for spent in (100, 60, 60, 200, 30, 30, 150)]
    small = [start for start in starts if (start.mean == best).all()]
    large = [start for start in starts if not (start.mean == best).all()]
    assert [start.population for start in large] == [16, 30]
    assert len(small) == 5
    assert all(start.population == 8 and 0.02 <= start.sigma <= 0.2 for start in small)
    assert len({start.sigma for start in small}) == 5


def test_many_baselines_teach_the_first_steps() -> None:
    variables = reals(4)
    rng = np.random.default_rng(0)
    landscape = ellipsoid(variables, condition=1.0)
    known = [tuple(map(float, 1.5 * rng.random(4))) for _ in range(60)]
    baselines = evaluations(landscape, range(60), known, baseline=True)
    best = sorted(baselines, key=lambda e: -e.fitness[0])[:6]
    centre = np.mean([to_unit_cube(variables, e.genome) for e in best], axis=0)
    warm = CmaEs(OptimizerSetup(variables, 0, sigma=0.3))
    warm.tell(baselines)
    cold = CmaEs(OptimizerSetup(variables, 0, sigma=0.3, options={"warm_start": False}))
    cold.tell(baselines)
    spread = {}
    for name, optimizer in (("warm", warm), ("cold", cold)):
        positions = np.array([to_unit_cube(variables, g) for g in optimizer.ask(range(60, 460))])
        spread[name] = positions.std(axis=0).mean()
        if name == "warm":
            np.testing.assert_allclose(positions.mean(axis=0), centre, atol=0.05)
    assert spread["warm"] < 0.8 * spread["cold"]


def test_candidates_that_break_a_constraint_lead_nowhere() -> None:
    variables = reals(5)

    def told(optimizer: CmaEs, number: int, genome: Genome) -> Evaluation:
        total = sum(map(float, genome))
        return Evaluation(number, genome, (total,), violation=max(0.0, total - 4.0))

    optimizer = CmaEs(OptimizerSetup(variables, 0))
    for start in range(0, 400, optimizer.population):
        numbers = range(start, start + optimizer.population)
        last = [told(optimizer, n, g) for n, g in zip(numbers, optimizer.ask(numbers), strict=True)]
        optimizer.tell(last)
    feasible = [e.fitness[0] for e in last if e.violation == 0]
    assert len(feasible) >= 2
    assert max(feasible) > 3.8


PROPOSALS = """
from service.optimizers import OptimizerSetup
from service.optimizers.cma_es import CmaEs
from tests.service.synthetic import reals, search, trade_off

optimizer = CmaEs(OptimizerSetup(reals(12), 0, (1.0, 1.0)))
search(optimizer, trade_off(reals(12)), 110)
print(optimizer.ask(range(110, 121)))
"""


def test_another_processor_proposes_the_same() -> None:
    """OpenBLAS computes with other instructions when it is told that the processor is older."""
    proposals = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROPOSALS],
            cwd=REPOSITORY,
            env=os.environ | {"OPENBLAS_CORETYPE": processor},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for processor in ("Haswell", "Prescott")
    }
    assert len(proposals) == 1


def test_importing_the_optimizers_imports_no_library_that_takes_seconds() -> None:
    """`evomerge status` has no use for them."""
    code = "import service.optimizers, sys; sys.exit(bool({'nevergrad', 'cma', 'ribs'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
