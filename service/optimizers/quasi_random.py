"""Quasi-random search: random search without its clumps and holes."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import qmc

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup

MOST_DIMENSIONS = qmc.Sobol.MAXDIM


class QuasiRandomSearch(Optimizer):
    """Fills the search space evenly: candidate n is point n of a scrambled Sobol sequence.

    Sobol (1967), scrambled after Owen (1998).  Learns nothing, so that any number of workers can
    draw from it; the better reference where there are up to some dozens of variables.  Infeasible points
    are drawn nearer to the initial genome.
    """

    operator = "quasi-random"
    steady_state = True
    supports_reevaluation = True

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        widths = [MOST_DIMENSIONS] * (len(self.variables) // MOST_DIMENSIONS)
        widths += [rest] if (rest := len(self.variables) % MOST_DIMENSIONS) else []
        self._blocks = [
            qmc.Sobol(width, scramble=True, rng=setup.seed + block) for block, width in enumerate(widths)
        ]

    @property
    def population(self) -> int:
        """How many candidates are proposed at once: as many as asked for, or up to 32."""
        return self.setup.population or min(32, self.setup.budget or 32)

    def propose(self, number: int) -> Genome:
        """Returns the number's point of the sequence."""
        parts = []
        for sequence in self._blocks:
            if sequence.num_generated != number:  # the numbers before were asked of someone else
                sequence.reset()
                if number > 0:
                    sequence.fast_forward(number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # one point is no power of two of them
                parts.append(sequence.random(1)[0])
        return self.nearer(self.genome_at(np.concatenate(parts)), self.rng(number))

    def learn(self, evaluation: Evaluation) -> None:
        """Ignores the evaluation."""
