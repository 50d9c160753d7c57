"""Whether a winner's weights end where the search space does, and which bounds to try instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search_spaces import Genome
from search_spaces.genome import Real, Variable
from service.experiment.candidate import Candidate, CandidateKind

NEAR = 0.01  # of a range, from a bound
MANY = 1 / 4  # of the weights
WIDER = 1.4
_SEARCHED = (CandidateKind.EVOLVED, CandidateKind.ENQUEUED, CandidateKind.KNOWN, CandidateKind.MEAN)


@dataclass(frozen=True, slots=True)
class EndedWeights:
    """Weights of a genome that lie at their upper bound.

    Attributes:
        ended, weights: How many do, and how many there are.
        high: The highest of their bounds.
        low: The lowest bound of any weight.
    """

    ended: int
    weights: int
    high: float
    low: float

    @property
    def to_try(self) -> tuple[float, float]:
        """The range in which to search again."""
        return self.low, float(f"{WIDER * self.high:.3g}")


def ended_weights(genome: Genome, variables: Sequence[Variable]) -> EndedWeights | None:
    """Returns how many weights end at their upper bound; None where none does.

    Lower bounds say nothing: a weight of 0 leaves a parent out.  Nor do densities and positions, whose
    bounds are natural ones.
    """
    weights = [
        (variable, gene)
        for variable, gene in zip(variables, genome, strict=True)
        if isinstance(variable, Real) and variable.axis is not None and variable.axis.parameter == "weight"
    ]
    ended = [variable for variable, gene in weights if variable.to_unit(gene) >= 1 - NEAR]
    if not ended:
        return None
    high, low = max(variable.high for variable in ended), min(variable.low for variable, _ in weights)
    return EndedWeights(len(ended), len(weights), high, low)


def many_ended(winner: Candidate, variables: Sequence[Variable]) -> EndedWeights | None:
    """Returns how many weights of an evolved winner end at their upper bound; None where few do."""
    if winner.kind not in _SEARCHED or winner.genome is None or not variables:
        return None
    found = ended_weights(winner.genome, variables)
    return None if found is None or found.ended < MANY * found.weights else found


def at_bounds(winner: Candidate, variables: Sequence[Variable]) -> Iterator[str]:
    """Yields that many weights of an evolved winner end at their upper bound, and which to try instead."""
    if (found := many_ended(winner, variables)) is None:
        return
    low, high = found.to_try
    yield (
        f"{found.ended} of the winner's {found.weights} weights lie at their upper bound, {found.high:g}: "
        f"better merges may lie beyond it; `evomerge extend NAME --widen` searches on with weights in "
        f"[{low:g}, {high:g}], from all that is known"
    )
