"""Quasi-random search: random search without its clumps and holes."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy.stats import qmc

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup

MOST_DIMENSIONS = qmc.Sobol.MAXDIM


class QuasiRandomSearch(Optimizer):
    """Fills the search space evenly: candidate n is point n of a scrambled Sobol sequence.

    Sobol (1967), scrambled after Owen (1998).  Learns nothing, so that any number of workers can
    draw from it; the better yardstick where there are up to some dozens of variables.
    """

    operator = "quasi-random"
    steady_state = True

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._dimensions = len(self.variables)

    @property
    def population(self) -> int:
        """How many candidates are proposed at once: as many as asked for, or 32, a power of two."""
        return self.setup.population or 32

    def propose(self, number: int) -> Genome:
        """Returns the number's point of the sequence."""
        blocks = math.ceil(self._dimensions / MOST_DIMENSIONS)
        position: list[float] = []
        for block in range(blocks):
            width = min(MOST_DIMENSIONS, self._dimensions - block * MOST_DIMENSIONS)
            sequence = qmc.Sobol(width, scramble=True, rng=self.setup.seed + block)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # one point is no power of two of them
                if number > 0:
                    sequence.fast_forward(number)
                position += sequence.random(1)[0].tolist()
        return self.genome_at(np.array(position))

    def learn(self, evaluation: Evaluation) -> None:
        """Ignores the evaluation."""
