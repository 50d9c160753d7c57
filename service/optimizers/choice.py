"""Which optimizer suits a problem, for those who do not name one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.genome import Choice, Variable

AUTO = "auto"
MOST_FOR_A_FULL_MATRIX = 200  # genes: above, an update of the full covariance matrix takes most of the time


@dataclass(frozen=True, slots=True)
class ChosenAlgorithm:
    """A key of `OPTIMIZERS`, and why it was taken."""

    name: str
    reason: str


def choose_algorithm(wanted: str, variables: Sequence[Variable], objectives: int) -> ChosenAlgorithm:
    """Returns the algorithm that a spec names, or, for `auto`, the one that suits the problem."""
    if wanted != AUTO:
        return ChosenAlgorithm(wanted, "named in the experiment")
    genes = len(variables)
    if objectives > 1:
        return ChosenAlgorithm("nsga2", f"{objectives} objectives: the whole front is looked for")
    choices = sum(isinstance(variable, Choice) for variable in variables)
    if choices:
        return ChosenAlgorithm(
            "differential_evolution", f"one objective, and {choices} genes that are words, not numbers"
        )
    if genes > MOST_FOR_A_FULL_MATRIX:
        return ChosenAlgorithm(
            "separable_cma_es",
            f"one objective and {genes} genes, more than the {MOST_FOR_A_FULL_MATRIX} "
            "for which a full covariance matrix pays",
        )
    return ChosenAlgorithm("cma_es", f"one objective and {genes} genes that are numbers")
