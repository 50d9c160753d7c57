"""One run of CMA-ES, as nevergrad and pycma compute it.  The only module that imports nevergrad."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_LOSS = 1e20  # nevergrad takes five times as much for nonsense; what is as bad as that ranks last


class CovarianceAdaptation:
    """Moves and shapes a normal distribution after the points it is told (Hansen, 1604.00772).

    nevergrad's own `ask` is not used: it hands out a queue of samples, so that a point would depend
    on what was asked before.  Here a point is arithmetic on the distribution and on a standard
    normal draw that the caller brings, and asking for it leaves no trace.

    Points live in an unbounded space of two dimensions or more.  Losses are minimized.

    Args:
        start: First mean, shape [dimensions].
        sigma: First step, the same in all dimensions.
        population: Points between two updates, at least 3.
        diagonal: Keeps to the axes, which costs O(n) instead of O(n^2).
        smallest_steps: What each dimension's step may not fall below, shape [dimensions]; 0 allows any.
    """

    def __init__(
        self,
        start: NDArray[np.float64],
        *,
        sigma: float,
        population: int,
        smallest_steps: NDArray[np.float64],
        diagonal: bool = False,
    ) -> None:
        self._start, self._sigma = start, sigma
        self._nevergrad = _build(
            start, sigma, population, (smallest_steps / sigma).tolist(), diagonal=diagonal
        )
        self._es = self._nevergrad.es
        self._population = population
        self._told = 0
        self._settle()

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be gained: the distribution has shrunk, or fitness stays flat."""
        return bool(self._es.stop())

    def at(self, draw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the point that a standard normal draw stands for, shape [dimensions].

        The draw is shaped by the symmetric root of the covariance matrix.  Unlike the product of
        eigenvectors and axis lengths it does not depend on the eigenvectors' signs and order, which
        linear algebra libraries are free to choose.
        """
        step = self._es.sigma_vec * self._es.sm.transform(draw)
        unscaled = self._es.mean + self._es.sigma * step
        return np.asarray(self._start + self._sigma * unscaled, dtype=np.float64)

    def tell(self, point: NDArray[np.float64], loss: float) -> None:
        """Notes a point's loss; every `population` points the distribution is updated.

        Raises:
            FloatingPointError: The update failed.
        """
        told = self._nevergrad.parametrization.spawn_child(new_value=point)
        self._nevergrad.tell(told, min(loss, LARGEST_LOSS))
        self._told += 1
        if self._told % self._population == 0:
            if not self._es._flgtelldone:  # nevergrad drops a generation in silence when its update raises
                raise FloatingPointError(
                    f"the covariance matrix could not be updated after {self._told} candidates; "
                    "the last generation's genomes or fitness are out of proportion"
                )
            self._settle()

    def _settle(self) -> None:
        """Has pycma do its pending work now: it takes a tell only after an ask."""
        self._es.ask(1)


def _build(
    start: NDArray[np.float64], sigma: float, population: int, minstd: Sequence[float], *, diagonal: bool
) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not import matplotlib")
        import cma.sigma_adaptation  # here, not above: seconds of importing that only a search needs
        import nevergrad
    options = {
        "AdaptSigma": cma.sigma_adaptation.CMAAdaptSigmaCSA,  # the other needs points of its own making,
        "CMA_mirrors": 0,  # and so do mirrored samples
        "conditioncov_alleviate": False,  # would change coordinates at an ask
        "signals_filename": "",  # would read settings from the working folder
        "minstd": minstd,
    }
    parametrization = nevergrad.p.Array(init=start).set_mutation(sigma=sigma)
    parametrization.random_state = np.random.RandomState(0)  # no genome depends on it
    return nevergrad.optimizers.ParametrizedCMA(popsize=population, diagonal=diagonal, inopts=options)(
        parametrization
    )
