"""What every optimizer must keep; adding one to OPTIMIZERS adds its tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces.errors import SpaceError, UnknownNameError
from search_spaces.genome import Axis, Genome, Integer, Real, Variable, initial_genome, is_in_bounds
from service.optimizers import (
    AUTO,
    OPTIMIZERS,
    Evaluation,
    MeasureAxis,
    Optimizer,
    OptimizerSetup,
    Origin,
    optimizer_named,
)
from tests.service.synthetic import MIXED_VARIABLES, evaluations, reals, search, trade_off

OptimizerKind = Callable[[OptimizerSetup], Optimizer]
WEIGHTS = (1.0, 2.0)
AXIS = Axis("weight", 0, 0)
KINSHIP = ((1.0, 0.8, 0.1), (0.8, 1.0, 0.2), (0.1, 0.2, 1.0))
MEASURES = (MeasureAxis("depth", 0.0, 1.0, 5), MeasureAxis("share", -1.0, 1.0, 4))


def set_up(
    variables: tuple[Variable, ...] = MIXED_VARIABLES, seed: int = 0, population: int | None = 6
) -> OptimizerSetup:
    return OptimizerSetup(
        variables, seed, WEIGHTS, population, measures=MEASURES, parents=3, budget=200, kinship=KINSHIP
    )


def build(
    optimizer_type: OptimizerKind, variables: tuple[Variable, ...] = MIXED_VARIABLES, seed: int = 0
) -> Optimizer:
    return optimizer_type(set_up(variables, seed))


def told(optimizer: Optimizer, history: Sequence[Evaluation]) -> Optimizer:
    optimizer.tell(history)
    return optimizer


def history_of(optimizer_type: OptimizerKind, budget: int = 30, seed: int = 0) -> list[Evaluation]:
    """Two baselines and some generations, as a search loop tells them."""
    baselines = [initial_genome(MIXED_VARIABLES), (0.0, 1, "ties", 1.0)]
    landscape = trade_off(MIXED_VARIABLES)
    return search(build(optimizer_type, seed=seed), landscape, budget, baselines=baselines)


def test_genomes_lie_in_bounds(optimizer_type: OptimizerKind) -> None:
    history = history_of(optimizer_type, budget=120)
    assert all(is_in_bounds(MIXED_VARIABLES, evaluation.genome) for evaluation in history)


@pytest.mark.parametrize("variable", [Real("t", -1.0, 1.0, 0.0, AXIS), Integer("layers", 1, 9, 3, AXIS)])
def test_one_variable_is_enough(optimizer_type: OptimizerKind, variable: Variable) -> None:
    landscape = trade_off((variable,))
    history = search(build(optimizer_type, (variable,)), landscape, 60)
    assert all(is_in_bounds((variable,), evaluation.genome) for evaluation in history)
    assert len({evaluation.genome for evaluation in history}) > 3


def test_how_an_ask_is_cut_does_not_matter(optimizer_type: OptimizerKind) -> None:
    optimizer = told(build(optimizer_type), history_of(optimizer_type))
    together = optimizer.ask(range(40, 46))
    assert optimizer.ask(range(40, 42)) + optimizer.ask(range(42, 46)) == together
    assert optimizer.ask(range(45, 39, -1)) == together[::-1]


def test_asking_changes_nothing(optimizer_type: OptimizerKind) -> None:
    history = history_of(optimizer_type)
    curious, quiet = build(optimizer_type), build(optimizer_type)
    for place, evaluation in enumerate(history):
        curious.ask(range(place, place + place % 4))
        curious.tell([evaluation])
        curious.ask([1000, 3, 7])
    quiet.tell(history)
    assert curious.ask(range(100, 112)) == quiet.ask(range(100, 112))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_how_a_tell_is_cut_does_not_matter(optimizer_type: OptimizerKind, data: st.DataObject) -> None:
    history = history_of(optimizer_type)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(history) - 1))))
    optimizer = build(optimizer_type)
    for start, end in zip([0, *cuts], [*cuts, len(history)], strict=True):
        optimizer.tell(history[start:end])
    assert optimizer.ask(range(50, 56)) == told(build(optimizer_type), history).ask(range(50, 56))


def test_a_new_instance_told_the_history_goes_on_where_the_old_one_stood(
    optimizer_type: OptimizerKind,
) -> None:
    landscape, variables = trade_off(reals(5)), reals(5)
    whole = search(build(optimizer_type, variables), landscape, 90)
    for told_so_far in (0, 1, 17, 42):
        first = told_so_far // 6 * 6  # the generation that was under way when the old one was killed
        optimizer = told(build(optimizer_type, variables), whole[:first])
        rest = []
        for start in range(first, 90, 6):
            numbers = range(start, start + 6)
            rest += evaluations(landscape, numbers, optimizer.ask(numbers), optimizer=optimizer)
            optimizer.tell(rest[-6:])
        assert whole[:first] + rest == whole


def test_candidates_told_out_of_order_or_left_out_are_put_up_with(optimizer_type: OptimizerKind) -> None:
    landscape = trade_off(MIXED_VARIABLES)
    optimizer = build(optimizer_type)
    waiting: list[tuple[int, Genome]] = []
    for number in range(60):  # four are always under way, and every seventh fails
        waiting.append((number, optimizer.ask([number])[0]))
        if len(waiting) == 4:
            done, genome = waiting.pop(number % 4)
            if done % 7:
                optimizer.tell(evaluations(landscape, [done], [genome], optimizer=optimizer))
    assert all(is_in_bounds(MIXED_VARIABLES, genome) for genome in optimizer.ask(range(60, 70)))


def steady_state(
    optimizer_type: OptimizerKind, kills: Sequence[int], *, budget: int = 70
) -> list[tuple[Evaluation, Origin]]:
    """Five are always under way and answered in any order, one in nine fails; some kills in between.

    After a kill a new optimizer is told what was told, and goes on with what is under way.
    """
    landscape, rng = trade_off(MIXED_VARIABLES), np.random.default_rng(5)
    optimizer = build(optimizer_type)
    baselines = [initial_genome(MIXED_VARIABLES), (0.0, 1, "ties", 1.0)]
    history = evaluations(landscape, range(2), baselines, baseline=True, optimizer=optimizer)
    optimizer.tell(history)
    waiting: list[tuple[int, Genome, Origin]] = []
    seen = [(evaluation, Origin("baseline")) for evaluation in history]
    for number in range(2, budget):
        if number in kills:
            optimizer = told(build(optimizer_type), history)
        waiting.append((number, optimizer.propose(number), optimizer.origin(number)))
        if len(waiting) == 5:
            done, genome, origin = waiting.pop(int(rng.integers(5)))
            evaluation = evaluations(landscape, [done], [genome], optimizer=optimizer)[0]
            if done % 9 == 0:
                evaluation = Evaluation(done, genome, (-9.0, -9.0))
            optimizer.tell([evaluation])
            history.append(evaluation)
            seen.append((evaluation, origin))
    return seen


def test_a_steady_state_goes_on_after_kills_as_if_there_had_been_none(optimizer_type: OptimizerKind) -> None:
    whole = steady_state(optimizer_type, kills=())
    assert steady_state(optimizer_type, kills=(2, 3, 17, 18, 40, 55)) == whole
    assert all(is_in_bounds(MIXED_VARIABLES, evaluation.genome) for evaluation, _ in whole)


def test_another_seed_or_another_number_is_another_genome(optimizer_type: OptimizerKind) -> None:
    variables = reals(3)
    first, second = (build(optimizer_type, variables, seed).ask(range(20)) for seed in (0, 1))
    assert len({*first, *second}) == 40


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_fitness_that_is_no_number_is_refused_before_anything_is_learned(
    optimizer_type: OptimizerKind, bad: float
) -> None:
    optimizer, history = build(optimizer_type), history_of(optimizer_type)
    before = optimizer.ask(range(8))
    spoilt = Evaluation(99, history[0].genome, (0.5, bad))
    with pytest.raises(ValueError, match="candidate 99 was told with fitness"):
        optimizer.tell([*history, spoilt])
    assert optimizer.ask(range(8)) == before


def test_a_wrong_number_of_objectives_or_genes_is_refused(optimizer_type: OptimizerKind) -> None:
    optimizer = build(optimizer_type)
    with pytest.raises(ValueError, match=r"tell 2 finite number\(s\)"):
        optimizer.tell([Evaluation(0, initial_genome(MIXED_VARIABLES), (0.5,))])
    with pytest.raises(ValueError, match="one for each of the 4 variables"):
        optimizer.tell([Evaluation(0, (0.5, 1), (0.5, 0.5))])


def test_flat_fitness_does_not_stop_the_search(optimizer_type: OptimizerKind) -> None:
    history = search(build(optimizer_type), lambda genome: (0.25, 0.25), 120)
    assert len({evaluation.genome for evaluation in history[-30:]}) > 20


@pytest.mark.parametrize("size", [1e-300, -1e300])
def test_fitness_of_any_size_is_taken(optimizer_type: OptimizerKind, size: float) -> None:
    variables = reals(3)
    history = search(
        build(optimizer_type, variables), lambda genome: tuple(size * float(g) for g in genome[:2]), 60
    )
    assert all(is_in_bounds(variables, evaluation.genome) for evaluation in history)


def test_a_history_of_two_thousand_is_replayed(optimizer_type: OptimizerKind) -> None:
    variables = reals(20)
    genomes = [tuple(map(float, 1.5 * row)) for row in np.random.default_rng(0).random((2000, 20))]
    optimizer = optimizer_type(set_up(variables, population=None))
    optimizer.tell(evaluations(trade_off(variables), range(2000), genomes, optimizer=optimizer))
    assert all(is_in_bounds(variables, genome) for genome in optimizer.ask(range(2000, 2020)))


def test_where_a_candidate_comes_from_is_told_and_asking_for_it_changes_nothing(
    optimizer_type: OptimizerKind,
) -> None:
    history = history_of(optimizer_type, budget=60)
    optimizer = told(build(optimizer_type), history)
    genomes = optimizer.ask(range(70, 90))
    origins = [optimizer.origin(number) for number in range(70, 90)]
    assert [optimizer.origin(number) for number in reversed(range(70, 90))] == origins[::-1]
    assert optimizer.ask(range(70, 90)) == genomes
    known = {evaluation.number for evaluation in history}
    assert all(origin.operator and known.issuperset(origin.ancestors) for origin in origins)
    assert told(build(optimizer_type), history).origin(75) == optimizer.origin(75)


def test_candidates_that_failed_or_break_constraints_are_told_like_all_others(
    optimizer_type: OptimizerKind,
) -> None:
    """A failed one has no measures and no items; one in four breaks a constraint, by any amount."""
    landscape, optimizer = trade_off(MIXED_VARIABLES), build(optimizer_type)
    history: list[Evaluation] = []
    for start in range(0, 60, 6):
        told_now = evaluations(
            landscape, range(start, start + 6), optimizer.ask(range(start, start + 6)), optimizer=optimizer
        )
        told_now[1] = Evaluation(start + 1, told_now[1].genome, (-9.0, -9.0))
        told_now[4] = replace(told_now[4], violation=10.0 ** (start - 30))
        optimizer.tell(told_now)
        history += told_now
    assert all(is_in_bounds(MIXED_VARIABLES, genome) for genome in optimizer.ask(range(60, 70)))
    assert told(build(optimizer_type), history).ask(range(60, 70)) == optimizer.ask(range(60, 70))


def test_a_history_in_which_everything_is_infeasible_is_put_up_with(optimizer_type: OptimizerKind) -> None:
    optimizer = build(optimizer_type)
    for start in range(0, 36, 6):
        genomes = optimizer.ask(range(start, start + 6))
        optimizer.tell(
            [Evaluation(start + i, g, (0.5, 0.5), violation=1.0 + i) for i, g in enumerate(genomes)]
        )
    assert all(is_in_bounds(MIXED_VARIABLES, genome) for genome in optimizer.ask(range(36, 48)))


def test_undeclared_settings_are_refused(optimizer_type: OptimizerKind) -> None:
    with pytest.raises(SpaceError, match=r"optimizer\.options\.colour: ") as refusal:
        optimizer_type(replace(set_up(), options={"colour": "blue"}))
    assert refusal.value.remedy


def test_measures_and_violations_must_be_numbers() -> None:
    optimizer, genome = build(OPTIMIZERS["random"]), initial_genome(MIXED_VARIABLES)
    with pytest.raises(ValueError, match=r"measures \(0\.5,\); tell 2 finite number\(s\)"):
        optimizer.tell([Evaluation(0, genome, (0.5, 0.5), measures=(0.5,))])
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="with a violation of"):
            optimizer.tell([Evaluation(0, genome, (0.5, 0.5), violation=bad)])


def test_margins_are_finite_and_have_an_entry_per_objective() -> None:
    optimizer, genome = build(OPTIMIZERS["random"]), initial_genome(MIXED_VARIABLES)
    for known in ((), ((0.5, -0.25), ()), ((), (1.0,))):
        optimizer.tell([Evaluation(0, genome, (0.5, 0.5), margins=known)])
    with pytest.raises(ValueError, match=r"margins of 1 objective\(s\); tell those of 2"):
        optimizer.tell([Evaluation(0, genome, (0.5, 0.5), margins=((0.5,),))])
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"a margin of {bad} in objective 1"):
            optimizer.tell([Evaluation(0, genome, (0.5, 0.5), margins=((0.5,), (0.0, bad)))])


def test_a_search_hardly_leaves_a_space_of_which_little_is_feasible(optimizer_type: OptimizerKind) -> None:
    # As in a stack of layers: each is taken or not, begins not taken, and few may be taken at once.
    slots = tuple(Real(f"take {i}", -1.0, 1.0, -2 / 3, Axis("weight", i % 3, i // 3)) for i in range(60))
    skills = trade_off(slots)

    def is_feasible(genome: Genome) -> bool:
        return sum(float(gene) > 0 for gene in genome) <= 15  # of 10,000 random genomes not one is

    def landscape(genome: Genome) -> tuple[float, ...]:
        return skills(genome) if is_feasible(genome) else (0.0, 0.0)

    baselines = [initial_genome(slots), (*[2 / 3] * 6, *[-2 / 3] * 54)]
    optimizer = optimizer_type(replace(set_up(slots), is_feasible=is_feasible))
    evolved = [e.genome for e in search(optimizer, landscape, 30, baselines=baselines)[2:]]
    assert sum(is_feasible(genome) for genome in evolved) >= 27
    assert len(set(evolved)) > 8  # it is a search all the same


def test_measures_need_a_range_and_cells() -> None:
    with pytest.raises(SpaceError, match=r"measures\.depth: the range \[1\.0, 1\.0\] holds nothing"):
        MeasureAxis("depth", 1.0, 1.0, 5)
    with pytest.raises(SpaceError, match=r"measures\.depth: 0 cells hold nothing; use 1 or more"):
        MeasureAxis("depth", 0.0, 1.0, 0)


@pytest.mark.parametrize("name", sorted(n for n, kind in OPTIMIZERS.items() if kind.needs_measures))
def test_quality_diversity_without_measures_is_refused(name: str) -> None:
    with pytest.raises(SpaceError, match="measures: none are given; name one or more"):
        OPTIMIZERS[name](replace(set_up(), measures=()))


def test_populations_are_as_large_as_asked_for(optimizer_type: OptimizerKind) -> None:
    assert build(optimizer_type).population == 6
    assert optimizer_type(set_up(reals(20), population=None)).population >= 1


def test_a_population_too_small_to_learn_from_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"optimizer\.population: 2 candidates .* use 3 or more"):
        OPTIMIZERS["cma_es"](OptimizerSetup(reals(2), 0, population=2))


def test_an_unknown_optimizer_is_answered_with_the_nearest_name() -> None:
    assert optimizer_named("cma_es") is OPTIMIZERS["cma_es"]
    with pytest.raises(UnknownNameError, match=r"optimizer\.algorithm: .*did you mean 'cma_es'") as refusal:
        optimizer_named("cmaes")
    assert refusal.value.allowed == tuple(sorted((*OPTIMIZERS, AUTO, "nevergrad:NAME")))


def retold(history: Sequence[Evaluation], fitness: tuple[float, ...]) -> Evaluation:
    """The best of a history, worth something else."""
    best = max(history, key=lambda e: sum(w * f for w, f in zip(WEIGHTS, e.fitness, strict=True)))
    return replace(best, fitness=fitness)


def test_what_was_told_can_be_taken_back_or_is_refused(optimizer_type: OptimizerKind) -> None:
    history = history_of(optimizer_type)
    optimizer, again = (told(build(optimizer_type), history) for _ in range(2))
    worse = retold(history, (-5.0, -5.0))
    if not optimizer.supports_reevaluation:
        with pytest.raises(TypeError, match="cannot take back"):
            optimizer.retell([worse])
        return
    for each in (optimizer, again):
        each.retell([worse])
    asked = optimizer.ask(range(60, 72))
    assert asked == again.ask(range(60, 72))
    optimizer.retell([retold(history, worse.fitness)])  # the same again changes nothing
    assert optimizer.ask(range(60, 72)) == asked
    assert all(is_in_bounds(MIXED_VARIABLES, genome) for genome in asked)


def test_a_revision_of_somebody_unknown_changes_nothing(optimizer_type: OptimizerKind) -> None:
    history = history_of(optimizer_type)
    optimizer = told(build(optimizer_type), history)
    if not optimizer.supports_reevaluation:
        return
    before = optimizer.ask(range(60, 72))
    optimizer.retell([replace(history[-1], number=999, fitness=(9.0, 9.0))])
    assert optimizer.ask(range(60, 72)) == before


def test_a_revision_that_is_no_number_is_refused(optimizer_type: OptimizerKind) -> None:
    history = history_of(optimizer_type)
    optimizer = told(build(optimizer_type), history)
    with pytest.raises((ValueError, TypeError)):
        optimizer.retell([replace(history[-1], fitness=(math.nan, 0.0))])


def test_only_an_optimizer_that_says_so_reads_single_items(optimizer_type: OptimizerKind) -> None:
    if build(optimizer_type).reads_items:
        pytest.skip("it says so")
    history = history_of(optimizer_type)
    items = [replace(e, items=((1.0, 0.0),) * 2, margins=((0.5, -0.5),) * 2) for e in history]
    numbers = range(100, 104)
    assert told(build(optimizer_type), items).ask(numbers) == told(build(optimizer_type), history).ask(
        numbers
    )
