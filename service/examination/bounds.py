"""Whether a winner's weights end where the search space does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search_spaces.genome import Real, Variable
from service.experiment.candidate import Candidate, CandidateKind

NEAR = 0.01  # of a range, from a bound
MANY = 1 / 4  # of the weights
WIDER = 1.4
_SEARCHED = (CandidateKind.EVOLVED, CandidateKind.ENQUEUED, CandidateKind.MEAN)


def at_bounds(winner: Candidate, variables: Sequence[Variable]) -> Iterator[str]:
    """Yields that many weights of an evolved winner end at their upper bound, and which to try instead.

    Lower bounds say nothing: a weight of 0 leaves a parent out.  Nor do densities and positions, whose
    bounds are natural ones.
    """
    if winner.kind not in _SEARCHED or winner.genome is None:
        return
    weights = [
        (variable, gene)
        for variable, gene in zip(variables, winner.genome, strict=True)
        if isinstance(variable, Real) and variable.axis is not None and variable.axis.parameter == "weight"
    ]
    ended = [variable for variable, gene in weights if variable.to_unit(gene) >= 1 - NEAR]
    if not ended or len(ended) < MANY * len(weights):
        return
    high = max(variable.high for variable in ended)
    low = min(variable.low for variable, _ in weights)
    yield (
        f"{len(ended)} of the winner's {len(weights)} weights lie at their upper bound, {high:g}: "
        f"better merges may lie beyond it; search again with weights in [{low:g}, {WIDER * high:.3g}]"
    )
