"""The population methods: what they breed, from whom, and that it pays."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from search_spaces.errors import SpaceError
from search_spaces.genome import Axis, Genome, Integer, Real, Variable
from service.optimizers import OPTIMIZERS, Evaluation, OptimizerSetup
from service.optimizers.cycleqd import CycleQd, elite_chances
from service.optimizers.genome_search import GenomeSearch
from service.optimizers.greedy_soup import GreedySoup
from service.optimizers.item_competition import attraction, item_scores, shared_fitness
from service.optimizers.kinship_greedy import KinshipGreedy
from service.optimizers.m2n2 import M2n2, slerp
from service.optimizers.model_glue import ModelGlue, clusters_of

LAYERS = 6
PARENTS = 3
SPECIALISTS = tuple(
    Real(f"weight of {owner} in {place}", 0.0, 1.0, 0.3, Axis("weight", owner, place))
    for place in range(LAYERS)
    for owner in range(PARENTS)
)
TARGET = np.array([[0.9, 0.1, 0.0]] * 2 + [[0.2, 0.8, 0.1]] * 2 + [[0.0, 0.3, 0.9]] * 2).ravel()
ALIKE = ((1.0, 0.9, 0.1), (0.9, 1.0, 0.1), (0.1, 0.1, 1.0))


def specialists(genome: Genome) -> tuple[float, ...]:
    """Three skills, each of which lives in two layers and wants one parent there above all."""
    missed = np.abs(np.array(genome, dtype=float) - TARGET).reshape(3, -1).mean(axis=1)
    return tuple(float(1 - m) for m in missed)


def evaluated(number: int, genome: Genome, **more: object) -> Evaluation:
    skills = specialists(genome)
    items = tuple(tuple(float(s > i / 40) for i in range(40)) for s in skills)
    told = Evaluation(number, genome, skills, items=items)
    return replace(told, **more)  # type: ignore[arg-type]


def parent(owner: int) -> Genome:
    return tuple(float(i % PARENTS == owner) for i in range(len(SPECIALISTS)))


def baselines() -> list[Evaluation]:
    return [evaluated(owner, parent(owner), baseline=True) for owner in range(PARENTS)]


def set_up(seed: int = 0, **more: object) -> OptimizerSetup:
    plain = OptimizerSetup(SPECIALISTS, seed, (1.0, 1.0, 1.0), parents=PARENTS, kinship=ALIKE)
    return replace(plain, **more)  # type: ignore[arg-type]


def best(name: str, seed: int, budget: int) -> float:
    optimizer = OPTIMIZERS[name](set_up(seed, budget=budget))
    optimizer.tell(baselines())
    found, number = [sum(e.fitness) for e in baselines()], 3
    while number < budget + 3:
        numbers = range(number, min(number + optimizer.population, budget + 3))
        told = [evaluated(n, g) for n, g in zip(numbers, optimizer.ask(numbers), strict=True)]
        optimizer.tell(told)
        found += [sum(e.fitness) for e in told]
        number = numbers.stop
    return max(found)


@pytest.mark.parametrize("name", ["cycleqd", "m2n2", "genome", "greedy_soup", "kinship_greedy", "model_glue"])
def test_breeding_beats_the_baselines(name: str) -> None:
    known = max(sum(e.fitness) for e in baselines())
    assert median(best(name, seed, 200) for seed in range(3)) > known + 0.02


@pytest.mark.parametrize("name", ["m2n2", "model_glue"])
def test_it_beats_random_search_by_far(name: str) -> None:
    bred, drawn = (median(best(n, seed, 300) for seed in range(3)) for n in (name, "random"))
    assert bred > drawn + 0.03


# M2N2


def test_an_item_is_shared_by_all_who_answer_it() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(shared_fitness(scores, alpha=1.0), [1.5, 0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(shared_fitness(scores, alpha=0.0), [2.0, 1.0, 1.0], rtol=1e-6)


def test_who_answers_what_the_other_cannot_is_attractive() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(attraction(scores, 0), [0.0, 0.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(attraction(scores, 1), [1.0, 0.0, 1.0], rtol=1e-6)


def test_objectives_count_by_weight_and_without_items_as_one() -> None:
    members = [
        Evaluation(0, (), (0.5, -2.0), items=((1.0, 0.0, 1.0, 0.0), ())),
        Evaluation(1, (), (1.0, -1.0), items=((1.0, 1.0, 1.0, 1.0), ())),
    ]
    scores = item_scores(members, (2.0, 1.0))
    assert scores.shape == (2, 5)
    np.testing.assert_allclose(scores.sum(axis=1), [1.0, 2.0 + 1.0])
    assert item_scores([members[0], replace(members[1], items=())], (1.0, 1.0)).shape == (2, 2)


def test_a_split_merge_takes_one_ratio_before_and_its_rest_behind_the_split() -> None:
    optimizer = M2n2(set_up(options={"mixing": "lerp", "warm_up": 0}))
    optimizer.tell([evaluated(0, (0.0,) * 18, baseline=True), evaluated(1, (1.0,) * 18, baseline=True)])
    seen = set()
    for genome in optimizer.ask(range(2, 60)):
        by_layer = np.array(genome, dtype=float).reshape(LAYERS, PARENTS)
        assert (np.ptp(by_layer, axis=1) == 0).all()  # a layer lies on one side
        levels = list(dict.fromkeys(np.round(by_layer[:, 0], 6)))
        assert len(levels) == 2
        assert sum(levels) == pytest.approx(1.0, abs=1e-5)
        seen.add(int(np.argmax(by_layer[:, 0] != by_layer[0, 0])))
    assert seen == set(range(1, LAYERS))


def test_slerp_keeps_to_the_arc() -> None:
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(slerp(one, other, 0.5), [0.5**0.5, 0.5**0.5])
    np.testing.assert_allclose(slerp(one, 3 * one, 0.5), [2.0, 0.0])
    np.testing.assert_allclose(slerp(0 * one, other, 0.25), [0.0, 0.25])


def test_the_archive_stays_small_and_keeps_those_who_answer_rare_items() -> None:
    optimizer = M2n2(set_up(options={"archive": 3, "warm_up": 0}))
    nothing: tuple[float, ...] = (0.0,) * 40
    rare = evaluated(9, parent(2), items=((*nothing[:-1], 1.0), nothing, nothing))
    common = [evaluated(n, parent(0), items=((1.0, *nothing[1:]), nothing, nothing)) for n in range(4)]
    optimizer.tell([*common, rare, evaluated(10, parent(1), items=(nothing,) * 3)])
    ancestors = {a for number in range(20, 80) for a in optimizer.origin(number).ancestors}
    assert ancestors <= {9, *range(4)} or not ancestors
    assert len(optimizer._members) == 3
    assert 9 in {member.number for member in optimizer._members}


# CycleQD


def test_elites_are_drawn_by_a_product_over_the_objectives() -> None:
    chances = elite_chances([(0.0, 1.0), (1.0, 1.0), (0.5, 1.0)])
    np.testing.assert_allclose(chances, [0.5 * 0.8, 0.8 * 0.8, 0.65 * 0.8])


def test_every_candidate_is_offered_to_all_archives_and_they_take_turns() -> None:
    optimizer = CycleQd(set_up(population=6))
    optimizer.tell(baselines())
    for start in range(3, 40, 6):
        numbers = range(start, start + 6)
        optimizer.tell([evaluated(n, g) for n, g in zip(numbers, optimizer.ask(numbers), strict=True)])
    assert len(optimizer.archives) == 3
    known = {elite.number for archive in optimizer.archives for elite in archive}
    for number in range(60, 66):
        its = {elite.number for elite in optimizer.archives[number % 3]}
        assert set(optimizer.origin(number).ancestors) <= its <= known


def test_the_last_candidate_of_the_budget_is_the_aggregate() -> None:
    optimizer = CycleQd(set_up(population=5, budget=40))
    optimizer.tell(baselines())
    for start in range(3, 38, 5):
        numbers = range(start, start + 5)
        optimizer.tell([evaluated(n, g) for n, g in zip(numbers, optimizer.ask(numbers), strict=True)])
    assert optimizer.origin(42).operator == "aggregation"
    assert optimizer.origin(41).operator != "aggregation"
    best_ones = [max(a, key=lambda e: e.quality) for a in optimizer.archives]
    assert set(optimizer.origin(42).ancestors) == {elite.number for elite in best_ones}


def test_singular_values_are_mutated_where_there_are_genes_for_it() -> None:
    svd: tuple[Variable, ...] = (
        *(Real(f"rate {o}", 0.0, 1.0, 0.0, Axis("svd_rate", o, 0)) for o in range(PARENTS)),
        *(Integer(f"seed {o}", 0, 999, 0, Axis("svd_seed", o, 0)) for o in range(PARENTS)),
    )
    optimizer = CycleQd(set_up(variables=(*SPECIALISTS, *svd), population=3))
    optimizer.tell(
        [
            replace(evaluated(e.number, e.genome), genome=(*e.genome, 0.0, 0.0, 0.0, 0, 0, 0))
            for e in baselines()
        ]
    )
    for number in range(3, 30):
        assert optimizer.origin(number).operator == "crossover and singular value mutation"
        rates = optimizer.propose(number)[-6:-3]
        assert sum(float(rate) > 0 for rate in rates) == 1  # one parent's, and not the weights


def test_one_objective_has_nothing_to_take_turns_with() -> None:
    with pytest.raises(SpaceError, match="cycleqd needs two objectives or more"):
        CycleQd(set_up(weights=(1.0,)))


# GENOME


def test_the_first_children_are_random_merges_of_two_baselines() -> None:
    optimizer = GenomeSearch(set_up(options={"mutation_rate": 0.0}))
    optimizer.tell([evaluated(0, (0.2,) * 18, baseline=True), evaluated(1, (0.6,) * 18, baseline=True)])
    genes = np.array(optimizer.ask(range(2, 40)), dtype=float)
    assert (np.ptp(genes, axis=1) == 0).all()
    assert genes.min() >= 0.2
    assert genes.max() <= 0.6
    assert optimizer.origin(5).operator == "random merge"


def test_successors_move_towards_the_best_and_away_from_the_worst() -> None:
    options = {"crossover_rate": 0.0, "mutation_rate": 0.0, "social": 1.0, "repel": 0.5}
    optimizer = GenomeSearch(set_up(population=4, options=options))
    high, low = (0.9,) * 18, (0.1,) * 18
    for number in range(4):
        genome = high if number == 0 else low if number == 1 else (0.5,) * 18
        optimizer.tell([Evaluation(number, genome, (float(genome[0]),) * 3)])
    moved = [np.mean(np.array(g, dtype=float)) for g in optimizer.ask(range(3, 40))]
    assert np.mean(moved) > 0.6
    assert {optimizer.origin(number).operator for number in range(3, 20)} == {"succession"}


# Greedy soup


def test_ingredients_are_added_best_first_and_stay_where_they_do_no_harm() -> None:
    variables = tuple(Real(f"w{i}", 0.0, 1.0, 0.5) for i in range(4))
    ingredients = {
        0: ((1.0, 0.0, 0.0, 0.0), 0.5),
        1: ((0.0, 1.0, 0.0, 0.0), 0.7),
        2: ((0.0, 0.0, 1.0, 0.0), 0.6),
    }
    optimizer = GreedySoup(OptimizerSetup(variables, 0))
    optimizer.tell([Evaluation(n, g, (f,), baseline=True) for n, (g, f) in ingredients.items()])
    first = optimizer.propose(3)
    assert first == (0.0, 0.5, 0.5, 0.0)
    assert optimizer.origin(3).ancestors == (1, 2)
    optimizer.tell([Evaluation(3, first, (0.7,))])  # not worse: it stays
    second = optimizer.propose(4)
    assert second == pytest.approx((1 / 3, 1 / 3, 1 / 3, 0.0))
    optimizer.tell([Evaluation(4, second, (0.6,))])  # worse: left out
    third = optimizer.propose(5)  # a round of second helpings
    assert third == pytest.approx((0.0, 2 / 3, 1 / 3, 0.0)) or third == pytest.approx((1 / 3,) * 3 + (0.0,))
    assert third not in (first, second)


# Kinship


def test_the_explorer_mates_the_best_with_the_least_akin() -> None:
    optimizer = KinshipGreedy(set_up(options={"top": 2}))
    assert optimizer.population == 2
    told = [evaluated(n, parent(n), fitness=(f, f, f)) for n, f in ((0, 0.9), (1, 0.8), (2, 0.1))]
    optimizer.tell(told)
    assert optimizer.origin(4).ancestors == (0, 1)
    assert optimizer.origin(5).operator == "kinship exploration"
    assert optimizer.origin(5).ancestors == (0, 2)
    assert optimizer.kinship_of(told[0], told[1]) == pytest.approx(0.9)
    half = evaluated(3, tuple((float(a) + float(b)) / 2 for a, b in zip(parent(0), parent(1), strict=True)))
    assert optimizer.kinship_of(told[0], half) == pytest.approx(0.95 / np.sqrt(0.95))


def test_pairs_are_merged_once() -> None:
    optimizer = KinshipGreedy(set_up(options={"top": 2}))
    optimizer.tell(baselines())
    seen: list[Genome] = []
    for number in range(3, 24):
        seen.append(optimizer.propose(number))
        optimizer.tell([evaluated(number, seen[-1])])
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("kind", [KinshipGreedy, ModelGlue])
def test_unmeasured_kinship_is_asked_for(kind: type[KinshipGreedy | ModelGlue]) -> None:
    with pytest.raises(SpaceError, match="which was not measured; have the parents' kinship measured"):
        kind(set_up(kinship=None))
    with pytest.raises(SpaceError, match="a row for each parent"):
        kind(set_up(kinship=((1.0, 0.5), (0.5, 1.0))))
    with pytest.raises(SpaceError, match="no gene of this space is one parent's own"):
        kind(set_up(variables=(Real("t", 0.0, 1.0, 0.5),)))


# Model-GLUE


def test_parents_belong_together_directly_or_by_way_of_others() -> None:
    kinship = np.array([[1, 0.6, 0, 0], [0.6, 1, 0, 0.7], [0, 0, 1, 0.1], [0, 0.7, 0.1, 1]])
    assert clusters_of(kinship, 0.5) == [{0, 1, 3}, {2}]
    assert clusters_of(kinship, 0.65) == [{0}, {1, 3}, {2}]


def test_clusters_are_searched_in_turn_and_their_winners_then_mixed() -> None:
    optimizer = ModelGlue(set_up(population=4, budget=80))
    optimizer.tell(baselines())
    assert optimizer.clusters == [{0, 1}, {2}]
    assert optimizer.per_cluster == 20
    number = 3
    told: dict[int, Genome] = {}
    while number < 83:
        numbers = range(number, number + 4)
        genomes = optimizer.ask(numbers)
        told |= dict(zip(numbers, genomes, strict=True))
        optimizer.tell([evaluated(n, g) for n, g in zip(numbers, genomes, strict=True)])
        number += 4
    weights = {n: np.array(g, dtype=float).reshape(LAYERS, PARENTS) for n, g in told.items()}
    assert all((w[:, 2] == 0).all() for n, w in weights.items() if n < 23)
    assert all((w[:, :2] == 0).all() for n, w in weights.items() if 23 <= n < 43)
    mixed = [w for n, w in weights.items() if n >= 43]
    assert sum((w[:, 2] > 0).any() and (w[:, :2] > 0).any() for w in mixed) > 30
    winners = optimizer.origin(60).ancestors
    assert [optimizer.origin(60).operator, len(winners)] == ["merge of clusters", 2]
    sources = weights | {b.number: np.array(b.genome).reshape(LAYERS, PARENTS) for b in baselines()}
    for mixture in mixed:
        for cluster, winner in (([0, 1], winners[0]), ([2], winners[1])):
            source, its = sources[winner][:, cluster], mixture[:, cluster]
            inside = (source > 0.1) & (its < 1.0)  # what was clipped tells nothing
            assert np.ptp(its[inside] / source[inside]) < 1e-6 if inside.any() else True
