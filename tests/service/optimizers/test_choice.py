"""Which optimizer is taken where the user names none."""

from __future__ import annotations

import pytest

from search_spaces.genome import Choice, Integer, Real, Variable
from service.optimizers import OPTIMIZERS, OptimizerSetup, choose_algorithm
from tests.service.synthetic import search

ONE = tuple(Real(f"weight {i}", 0.0, 1.0, 0.5) for i in range(10))
MANY = tuple(Real(f"weight {i}", 0.0, 1.0, 0.5) for i in range(500))
WORDS: tuple[Variable, ...] = (*ONE, Choice("method", ("ties", "linear", "slerp"), "ties"))
BITS: tuple[Variable, ...] = (*ONE, *(Integer(f"take {i}", 0, 1, 0) for i in range(30)))
SPANS = tuple(Integer(f"length {i}", 0, 31, 3) for i in range(8))


def test_the_problem_decides_and_the_reason_is_told() -> None:
    found = {
        "one objective": choose_algorithm("auto", ONE, 1),
        "a front": choose_algorithm("auto", ONE, 2),
        "a front in space": choose_algorithm("auto", ONE, 3),
        "a front over a long genome": choose_algorithm("auto", MANY, 2),
        "a front in space over a long genome": choose_algorithm("auto", MANY, 3),
        "a front in many dimensions": choose_algorithm("auto", ONE, 7),
        "a long genome": choose_algorithm("auto", MANY, 1),
        "a word": choose_algorithm("auto", WORDS, 1),
        "bits": choose_algorithm("auto", BITS, 1),
        "spans": choose_algorithm("auto", SPANS, 1),
        "an archive": choose_algorithm("auto", ONE, 1, measures=2, budget=500),
        "an archive of fronts": choose_algorithm("auto", ONE, 2, measures=2),
        "few candidates for many genes": choose_algorithm("auto", MANY[:120], 1, budget=300),
        "few candidates for a long genome": choose_algorithm("auto", MANY[:250], 1, budget=300),
        "many candidates for many genes": choose_algorithm("auto", MANY[:120], 1, budget=3000),
    }
    assert {label: chosen.name for label, chosen in found.items()} == {
        "one objective": "item_surrogate",
        "a front": "item_surrogate",
        "a front in space": "item_surrogate",
        "a front over a long genome": "nsga2",
        "a front in space over a long genome": "sms_emoa",
        "a front in many dimensions": "nsga2",
        "a long genome": "separable_cma_es",
        "a word": "item_surrogate",
        "bits": "item_surrogate",
        "spans": "nsga2",
        "an archive": "map_elites",
        "an archive of fronts": "map_elites",
        "few candidates for many genes": "item_surrogate",
        "few candidates for a long genome": "separable_cma_es",
        "many candidates for many genes": "cma_es",
    }
    assert all(chosen.name in OPTIMIZERS and chosen.reason for chosen in found.values())


def test_a_named_optimizer_is_taken_whatever_the_problem() -> None:
    assert choose_algorithm("random", MANY, 3).name == "random"


@pytest.mark.parametrize(
    "rival",
    [pytest.param("item_surrogate", marks=pytest.mark.slow), "cma_es", "differential_evolution", "random"],
)
def test_whole_numbers_are_found_sooner_one_at_a_time(rival: str) -> None:
    """Why `auto` does not take CMA-ES where most genes have steps."""
    wanted = (3, 17, 29, 8, 22, 1, 13, 30)

    def right(genome: tuple[float | int | str, ...]) -> tuple[float, ...]:
        return (sum(gene == target for gene, target in zip(genome, wanted, strict=True)) / 8,)

    def found(name: str) -> float:
        best = [
            max(e.fitness[0] for e in search(OPTIMIZERS[name](OptimizerSetup(SPANS, s)), right, 400))
            for s in range(10, 15)
        ]
        return sum(best)

    assert found("nsga2") > found(rival)
