"""Which optimizer suits a problem, for those who do not name one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.genome import Choice, Integer, Variable

AUTO = "auto"
MOST_FOR_A_FULL_MATRIX = 200  # genes: above, an update of the full covariance matrix takes most of the time
MOST_FOR_A_SURROGATE = 100  # genes, whatever the budget
MOST_FOR_A_SMALL_BUDGET = 200  # genes for which a surrogate finds more with less than FEW_PER_GENE candidates
MOST_FOR_CROWDING = 2  # objectives: with more, crowding distance says little about a front
MOST_FOR_HYPERVOLUME = 6  # objectives: with more, its exact computation takes too long
FEW_GENES = 50  # up to here both kinds of CMA-ES do equally well with any budget
FEW_PER_GENE = 3  # candidates: with less, a full matrix is not learned before the budget is spent


@dataclass(frozen=True, slots=True)
class ChosenAlgorithm:
    """A key of `OPTIMIZERS`, and why it was taken."""

    name: str
    reason: str


def choose_algorithm(
    wanted: str,
    variables: Sequence[Variable],
    objectives: int,
    *,
    measures: int = 0,
    budget: int | None = None,
) -> ChosenAlgorithm:
    """Returns the algorithm that a spec names, or, for `auto`, the one that suits the problem.

    Args:
        wanted: What the spec says.
        variables: Of the search space.
        objectives: How many there are.
        measures: How many there are: measures ask for an archive to be filled.
        budget: Candidates, where that is known.
    """
    if wanted != AUTO:
        return ChosenAlgorithm(wanted, "named in the experiment")
    if measures:
        return ChosenAlgorithm(
            "map_elites",
            f"{measures} measure{'s' * (measures > 1)}: the best model of every kind is looked for",
        )
    genes, steps = len(variables), sum(1 for variable in variables if _has_steps(variable))
    is_small = budget is not None and budget < FEW_PER_GENE * genes
    most = MOST_FOR_A_SMALL_BUDGET if is_small else MOST_FOR_A_SURROGATE
    if 2 * steps < genes <= most and objectives <= MOST_FOR_HYPERVOLUME:
        several = f"{objectives} objectives" if objectives > 1 else "one objective"
        return ChosenAlgorithm(
            "item_surrogate",
            f"{several} and {genes} genes, {genes - steps} of them numbers: a model of every item's answer "
            "learns most from each evaluation",
        )
    if objectives > 1:
        return _for_a_front(objectives)
    if 2 * steps >= genes:
        return ChosenAlgorithm(
            "nsga2",
            f"one objective, and {steps} of {genes} genes are words or whole numbers: "
            "an elitist genetic algorithm changes those one at a time",
        )
    if is_small and genes > FEW_GENES:
        return ChosenAlgorithm(
            "separable_cma_es",
            f"one objective, and {budget} candidates are too few to learn how {genes} genes hang together",
        )
    if genes > MOST_FOR_A_FULL_MATRIX:
        return ChosenAlgorithm(
            "separable_cma_es",
            f"one objective and {genes} genes, more than the {MOST_FOR_A_FULL_MATRIX} "
            "for which a full covariance matrix pays",
        )
    return ChosenAlgorithm("cma_es", f"one objective and {genes} genes, {genes - steps} of them numbers")


def _for_a_front(objectives: int) -> ChosenAlgorithm:
    front = f"{objectives} objectives: the whole front is looked for"
    if MOST_FOR_CROWDING < objectives <= MOST_FOR_HYPERVOLUME:
        return ChosenAlgorithm("sms_emoa", f"{front}, by the hypervolume that candidates add")
    return ChosenAlgorithm("nsga2", front)


def _has_steps(variable: Variable) -> bool:
    """Says whether a gene is a word or a whole number of more than two values."""
    match variable:
        case Choice():
            return len(variable.options) > 2
        case Integer():
            return variable.high - variable.low > 1
        case _:
            return False
