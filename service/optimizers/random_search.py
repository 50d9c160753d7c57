"""Random search: the reference for every other optimizer."""

from __future__ import annotations

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, Optimizer


class RandomSearch(Optimizer):
    """Draws genomes uniformly from what is feasible of the search space; learns nothing."""

    operator = "random"
    steady_state = True
    supports_reevaluation = True

    @property
    def population(self) -> int:
        """How many candidates are proposed at once: as many as asked for, or up to 20."""
        return self.setup.population or min(20, self.setup.budget or 20)

    def propose(self, number: int) -> Genome:
        """Returns a genome in which every gene is drawn for itself (see `anywhere` for the infeasible)."""
        return self.anywhere(self.rng(number))

    def learn(self, evaluation: Evaluation) -> None:
        """Ignores the evaluation."""
