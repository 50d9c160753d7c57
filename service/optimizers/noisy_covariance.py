"""One run of CMA-ES that learns the slower the noisier fitness is.  The only module that imports cmaes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from service.optimizers.covariance import LARGEST_LOSS, LEAST_STEP, broken_update


class NoisyCovarianceAdaptation:
    """Moves and shapes a normal distribution like `CovarianceAdaptation`, but by as much as can be trusted.

    After every generation the signal-to-noise ratio of the updates of mean and covariance matrix is
    estimated from how well they agree with those before; where it is small, the learning rate shrinks,
    and grows again where it is large (LRA-CMA-ES: Nomura, Akimoto and Ono, 2304.03473, sections 3 and 4).

    Args:
        start: First mean, shape [dimensions].
        steps: First step along each dimension, shape [dimensions].
        population: Points between two updates, at least 3.
        smallest_steps: What each dimension's step may not fall below, shape [dimensions]; 0 allows any.
    """

    def __init__(
        self,
        start: NDArray[np.float64],
        *,
        steps: NDArray[np.float64],
        population: int,
        smallest_steps: NDArray[np.float64],
    ) -> None:
        from cmaes import CMA  # here, not above: only a search needs it

        self.population = population
        self._blas = ThreadpoolController()
        self._smallest = smallest_steps
        sigma = float(np.exp(np.mean(np.log(steps))))
        shape = np.diag((steps / sigma) ** 2)
        with self._one_thread(), np.errstate(all="ignore"):  # of three points it divides by zero, to no harm
            self._es = CMA(start, sigma, population_size=population, cov=shape, lr_adapt=True, seed=0)
            self._es._tolx = LEAST_STEP
            self._settle()

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be gained: the distribution has shrunk, or fitness stays flat."""
        with self._one_thread():
            return bool(self._es.should_stop())

    def at(self, draw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the point that a standard normal draw stands for, shape [dimensions]."""
        return np.asarray(self._es.mean + self._es._sigma * (self._root @ draw), dtype=np.float64)

    def tell(self, points: Sequence[NDArray[np.float64]], losses: Sequence[float]) -> None:
        """Updates the distribution after a generation: `population` points and their losses.

        Raises:
            FloatingPointError: The update failed.
        """
        told = [(point, min(loss, LARGEST_LOSS)) for point, loss in zip(points, losses, strict=True)]
        with self._one_thread(), np.errstate(all="ignore"):
            try:
                self._es.tell(told)
                self._settle()
            except (AssertionError, np.linalg.LinAlgError) as error:
                raise self._broken() from error
        if not (np.isfinite(self._root).all() and np.isfinite(self._es.mean).all()):
            raise self._broken()

    def _settle(self) -> None:
        """Widens what has become too narrow and takes the covariance matrix's symmetric root."""
        es = self._es
        narrow = self._smallest / (es._sigma * np.sqrt(np.diag(es._C)))
        if (narrow > 1).any():
            es._C *= np.outer(np.maximum(narrow, 1.0), np.maximum(narrow, 1.0))
        axes, lengths = es._eigen_decomposition()
        self._root = (axes * lengths) @ axes.T

    def _one_thread(self) -> AbstractContextManager[object]:
        limited: AbstractContextManager[object] = self._blas.limit(limits=1, user_api="blas")
        return limited

    def _broken(self) -> FloatingPointError:
        return broken_update(self._es.generation * self.population)
