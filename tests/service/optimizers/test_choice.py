"""Which optimizer is taken where the user names none."""

from __future__ import annotations

from search_spaces.genome import Choice, Real, Variable
from service.optimizers import OPTIMIZERS, choose_algorithm

ONE = tuple(Real(f"weight {i}", 0.0, 1.0, 0.5) for i in range(10))
MANY = tuple(Real(f"weight {i}", 0.0, 1.0, 0.5) for i in range(500))
WORDS: tuple[Variable, ...] = (*ONE, Choice("method", ("ties", "linear"), "ties"))


def test_the_problem_decides_and_the_reason_is_told() -> None:
    found = {
        "one objective": choose_algorithm("auto", ONE, 1),
        "a front": choose_algorithm("auto", ONE, 2),
        "a long genome": choose_algorithm("auto", MANY, 1),
        "words": choose_algorithm("auto", WORDS, 1),
    }
    assert {label: chosen.name for label, chosen in found.items()} == {
        "one objective": "cma_es",
        "a front": "nsga2",
        "a long genome": "separable_cma_es",
        "words": "differential_evolution",
    }
    assert all(chosen.name in OPTIMIZERS and chosen.reason for chosen in found.values())


def test_a_named_optimizer_is_taken_whatever_the_problem() -> None:
    assert choose_algorithm("random", MANY, 3).name == "random"
