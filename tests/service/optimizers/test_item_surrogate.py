"""A model of every item: what it learns from margins, what it does without, and what it forgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import moocore
import numpy as np
import pytest

from search_spaces.genome import Genome, initial_genome, to_unit_cube
from service.optimizers import OPTIMIZERS, Evaluation, Forecast, Optimizer, OptimizerSetup
from service.optimizers.evaluation_memory import EvaluationMemory
from service.optimizers.item_columns import answers_of, margins_of
from service.optimizers.item_groups import grouped
from service.optimizers.item_posterior import ItemPosterior
from tests.service.synthetic import Landscape, ellipsoid, evaluations, noisy, reals, search, trade_off

TEN = reals(10)
ITEMS = 60


def built(seed: int = 0, name: str = "item_surrogate", weights: tuple[float, ...] = (1.0,)) -> Optimizer:
    return OPTIMIZERS[name](OptimizerSetup(TEN, seed, weights))


def worth(genome: Genome) -> tuple[float, ...]:
    return (float(np.exp(3 * ellipsoid(TEN, condition=30.0, seed=3)(genome)[0])),)


def best_of(history: Sequence[Evaluation], landscape: Landscape) -> float:
    """What the model with the best score is truly worth."""
    return landscape(max(history, key=lambda e: e.fitness).genome)[0]


@pytest.mark.parametrize("rival", ["cma_es", "differential_evolution", "nsga2"])
def test_it_needs_few_evaluations_where_scores_are_smooth_but_noisy(rival: str) -> None:
    start = [initial_genome(TEN)]

    def mean(name: str) -> float:
        runs = [search(built(seed, name), noisy(worth, items=400), 60, baselines=start) for seed in range(4)]
        return float(np.mean([best_of(run, worth) for run in runs]))

    assert mean("item_surrogate") > mean(rival) + 0.05


def margins_at(genome: Genome) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Items of two skills; what helps one half of them harms the other beyond a point."""
    rng = np.random.default_rng(4)
    tops = np.where(np.arange(ITEMS)[:, None] % 2, 0.3, 0.7) + rng.normal(0, 0.1, (ITEMS, 10))
    distances = np.linalg.norm(to_unit_cube(TEN, genome) - tops, axis=1)
    return np.asarray(4 * (0.55 + rng.normal(0, 0.1, ITEMS) - distances))


def answered(numbers: Sequence[int], genomes: Sequence[Genome], *, telling: bool) -> list[Evaluation]:
    told = []
    for number, genome in zip(numbers, genomes, strict=True):
        margins = margins_at(genome)
        items = tuple((margins > 0).astype(float).tolist())
        known = (tuple(margins.tolist()),) if telling else ()
        told.append(Evaluation(number, genome, (float(np.mean(items)),), items=(items,), margins=known))
    return told


def accuracies(seed: int, *, telling: bool) -> list[float]:
    """The best accuracy so far, candidate by candidate."""
    optimizer, found = built(seed), list[float]()
    for start in range(0, 40, 8):
        numbers = range(start, start + 8)
        told = answered(numbers, optimizer.ask(numbers), telling=telling)
        optimizer.tell(told)
        found += [evaluation.fitness[0] for evaluation in told]
    return [max(found[: count + 1]) for count in range(len(found))]


def test_margins_teach_more_than_right_and_wrong() -> None:
    with_them, without = (
        np.mean([accuracies(seed, telling=telling) for seed in range(6)], axis=0) for telling in (True, False)
    )
    assert with_them[-1] > without[-1]
    assert with_them.mean() > without.mean()


def test_a_front_is_found_sooner_than_by_a_genetic_algorithm() -> None:
    landscape = noisy(trade_off(TEN, reach=0.4), items=400)

    def volume(name: str) -> float:
        volumes = []
        for seed in range(3):
            history = search(built(seed, name, (1.0, 1.0)), landscape, 80, baselines=[initial_genome(TEN)])
            points = np.array([evaluation.fitness for evaluation in history])
            volumes.append(float(moocore.hypervolume(points, ref=np.zeros(2), maximise=True)))
        return float(np.mean(volumes))

    assert volume("item_surrogate") > 1.2 * volume("nsga2")


def test_it_keeps_away_from_where_constraints_were_broken() -> None:
    def broken(genome: Genome) -> float:
        return max(0.0, float(genome[0]) - 0.6)  # the top lies beyond

    optimizer, landscape = built(1), trade_off(TEN, seed=2)
    asked: list[Genome] = []
    for start in range(0, 48, 8):
        numbers = range(start, start + 8)
        asked += (genomes := optimizer.ask(numbers))
        told = evaluations(lambda genome: landscape(genome)[:1], numbers, genomes)
        optimizer.tell([replace(one, violation=broken(one.genome)) for one in told])
    late = [broken(genome) == 0 for genome in asked[16:]]
    assert sum(late) >= 0.75 * len(late)


def test_the_mean_is_worth_more_than_whoever_was_lucky() -> None:
    assert built().mean() is None
    lucky, means = [], []
    for seed in range(6):
        optimizer = built(seed)
        history = search(optimizer, noisy(worth, items=40), 64, baselines=[initial_genome(TEN)])
        mean = optimizer.mean()
        assert mean is not None
        means.append(worth(mean)[0])
        lucky.append(best_of(history, worth))
    assert np.mean(means) > np.mean(lucky)


def test_less_is_expected_the_longer_a_search_has_gone_on() -> None:
    def forecast(count: int) -> Forecast:
        optimizer = built()
        history = search(optimizer, noisy(worth, items=400), count, baselines=[initial_genome(TEN)])
        found = optimizer.forecast(40)
        assert found is not None
        assert optimizer.forecast(40) == found
        replayed = built()
        replayed.tell(history)
        assert replayed.forecast(40) == found
        return found

    soon, late = forecast(9), forecast(80)
    assert late.gain < soon.gain / 2
    assert str(replace(late, gain=0.0021, error=0.003)) == "+0.002 ± 0.003 for 40 further candidates"


def test_nothing_is_foreseen_of_what_was_not_searched() -> None:
    optimizer = built()
    assert optimizer.forecast(40) is None
    optimizer.tell(evaluations(worth, range(4), optimizer.ask(range(4)), baseline=True))
    assert optimizer.forecast(40) is None
    assert built(name="cma_es").forecast(40) is None


def test_predicted_candidates_name_where_the_climb_began_and_others_their_three_parents() -> None:
    optimizer = built()
    assert optimizer.origin(0).operator == "sample"
    search(optimizer, worth, 24)
    origins = [optimizer.origin(number) for number in range(24, 104)]
    kinds = [origin.operator for origin in origins]
    assert set(kinds) == {"prediction", "recombination"}
    assert 8 <= kinds.count("recombination") <= 36
    assert all(len(o.ancestors) == 1 for o in origins if o.operator == "prediction")
    assert all(2 <= len(o.ancestors) <= 3 for o in origins if o.operator == "recombination")


def told_of(number: int, fitness: float, margins: tuple[float, ...] = ()) -> Evaluation:
    return Evaluation(number, (0.0,), (fitness,), margins=(margins,) if margins else ())


CORNERS = (tuple(initial_genome(TEN)), (1.5,) * 5 + (0.0,) * 5, (0.0,) * 5 + (1.5,) * 5)


def trapped(genome: Genome) -> tuple[float, ...]:
    """A parent is worth a third; what needs both parents is worth more, but nothing far from its top."""
    position = to_unit_cube(TEN, genome)
    alone = max(np.exp(-np.mean((position - to_unit_cube(TEN, one)) ** 2) / 0.03) for one in CORNERS[1:])
    top = np.where(np.arange(10) % 2, 0.3, 0.75)
    return (float(max(alone / 3, np.exp(-np.mean((position - top) ** 2) / 0.02))),)


def test_the_best_baseline_is_no_trap_where_better_merges_lie_around_the_average() -> None:
    assert trapped(CORNERS[0])[0] < 0.2 < trapped(CORNERS[1])[0]
    found = [best_of(search(built(seed), trapped, 80, baselines=CORNERS), trapped) for seed in range(3)]
    assert min(found) > 0.4  # a parent has a third
    assert np.mean(found) > 0.6


def test_candidates_of_a_generation_keep_apart_from_each_other_and_from_what_is_known() -> None:
    optimizer = built(2)
    history = search(optimizer, worth, 64, baselines=[initial_genome(TEN)])
    known = [to_unit_cube(TEN, evaluation.genome) for evaluation in history]
    for number, genome in zip(range(72, 80), optimizer.ask(range(72, 80)), strict=True):
        position = to_unit_cube(TEN, genome)
        if optimizer.origin(number).operator == "prediction":
            assert min(np.linalg.norm(position - other) for other in known) > 0.005
        known.append(position)


def answering(number: int, *, of_one: float, of_two: float) -> Evaluation:
    """Answers the first so many of each of two kinds of items, thirty of each."""
    right = [tuple((np.arange(30) < share * 30).astype(float).tolist()) for share in (of_one, of_two)]
    return Evaluation(number, (0.0,), (float(np.mean(right)),), items=((*right[0], *right[1]),))


def test_items_without_margins_are_grouped_by_who_answers_them() -> None:
    told = [answering(n, of_one=n % 2, of_two=1 - n % 2) for n in range(8)]
    answers = answers_of(told, 0)
    assert answers is not None
    groups = {frozenset(group.tolist()) for group in grouped(answers)}
    assert groups == {frozenset(range(30)), frozenset(range(30, 60))}


def test_items_that_differ_from_candidate_to_candidate_are_not_grouped() -> None:
    draws = np.random.default_rng(0).random((40, 60)) < 0.6
    told = [Evaluation(n, (0.0,), (0.6,), items=(tuple(map(float, row)),)) for n, row in enumerate(draws)]
    assert answers_of(told, 0) is None


def test_who_has_no_margins_borrows_those_of_the_nearest_in_score() -> None:
    told = [told_of(0, 0.2, (-1.0, -2.0)), told_of(1, 0.8), told_of(2, 0.9, (1.0, 2.0))]
    margins = margins_of(told, 0)
    assert margins is not None
    assert margins.tolist() == [[-1.0, -2.0], [1.0, 2.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    "told",
    [
        [told_of(0, 0.2), told_of(1, 0.8), told_of(2, 0.9, (1.0, 2.0))],  # most have none
        [told_of(0, 0.2, (1.0,)), told_of(1, 0.8, (1.0, 2.0))],  # other items
        [told_of(0, 0.2)],
    ],
)
def test_values_alone_are_learned_from_where_margins_would_mislead(told: list[Evaluation]) -> None:
    assert margins_of(told, 0) is None
    item_posterior = ItemPosterior(np.linspace(0, 1, len(told))[:, None], told, (1.0,))
    assert item_posterior.best(None) == max(range(len(told)), key=lambda place: told[place].fitness)


def test_the_best_in_any_respect_and_the_latest_are_remembered() -> None:
    evaluation_memory = EvaluationMemory(12, lambda fitness: sum(fitness))
    rng = np.random.default_rng(0)
    told = [Evaluation(n, (0.0,), tuple(map(float, rng.random(2)))) for n in range(200)]
    told[7] = replace(told[7], fitness=(2.0, 0.0))
    told[8] = replace(told[8], fitness=(0.0, 2.0))
    told[9] = replace(told[9], fitness=(9.0, 9.0), violation=1.0)
    for evaluation in told:
        evaluation_memory.add(evaluation, np.zeros(1))
    kept = {evaluation.number for evaluation in evaluation_memory.evaluations}
    assert len(kept) == 12
    assert {7, 8, 196, 197, 198, 199} <= kept
    assert 9 not in kept


def late() -> Optimizer:
    """One that remembers so little that CMA-ES soon takes part."""
    return OPTIMIZERS["item_surrogate"](OptimizerSetup(TEN, 3, options={"memory": 20}))


def test_cma_es_goes_on_beside_the_model_once_more_is_known_than_is_remembered() -> None:
    optimizer = late()
    history = search(optimizer, worth, 88, baselines=[initial_genome(TEN)])
    origins = [optimizer.origin(number).operator for number in range(40, 140)]
    assert 25 <= origins.count("sample") <= 55
    best = to_unit_cube(TEN, max(history, key=lambda e: e.fitness).genome)
    drawn = [number for number in range(89, 140) if optimizer.origin(number).operator == "sample"]
    near = [np.abs(to_unit_cube(TEN, genome) - best).mean() for genome in optimizer.ask(drawn)]
    assert np.mean(near) < 0.2


def test_what_cma_es_proposed_is_known_again_after_a_restart() -> None:
    whole = search(late(), worth, 96)
    again = late()
    again.tell(whole[:72])
    assert again.ask(range(72, 80)) == [evaluation.genome for evaluation in whole[72:80]]
