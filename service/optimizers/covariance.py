"""One run of CMA-ES, as pycma computes it.  The only module that imports pycma."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

LARGEST_LOSS = 1e20  # what is as bad as that ranks last: differences of such numbers overflow
LEAST_STEP = 1e-7  # of the unit cube: genomes are rounded to nine decimals


class CovarianceAdaptation:
    """Moves and shapes a normal distribution after the points it is told (Hansen, 1604.00772).

    pycma's own samples are not used: they come from a queue, so that a point would depend on what
    was asked before.  Here a point is arithmetic on the distribution and on a standard normal draw
    that the caller brings, and asking for it leaves no trace.

    Points live in an unbounded space of two dimensions or more.  Losses are minimized.

    Args:
        start: First mean, shape [dimensions].
        steps: First step along each dimension, shape [dimensions].
        population: Points between two updates, at least 3.
        diagonal: Keeps to the axes, which costs O(n) instead of O(n^2).
        smallest_steps: What each dimension's step may not fall below, shape [dimensions]; 0 allows any.
    """

    def __init__(
        self,
        start: NDArray[np.float64],
        *,
        steps: NDArray[np.float64],
        population: int,
        smallest_steps: NDArray[np.float64],
        diagonal: bool = False,
    ) -> None:
        self.population = population
        self._blas = ThreadpoolController()
        self._es = _build(start, steps, population, smallest_steps, diagonal=diagonal)
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
        with self._one_thread():
            step = self._es.sigma_vec * self._es.sm.transform(draw)
        return np.asarray(self._es.mean + self._es.sigma * step, dtype=np.float64)

    def tell(self, points: Sequence[NDArray[np.float64]], losses: Sequence[float]) -> None:
        """Updates the distribution after a generation: `population` points and their losses.

        Raises:
            FloatingPointError: The update failed.
        """
        with self._one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pycma thinks aloud; what failed is raised below
            try:
                self._es.tell(list(points), [min(loss, LARGEST_LOSS) for loss in losses])
            except (RuntimeError, AssertionError, ValueError, np.linalg.LinAlgError) as error:
                raise broken_update(self._es.countevals) from error
            if not (np.isfinite(self._es.sigma) and np.isfinite(self._es.mean).all()):
                raise broken_update(self._es.countevals)
            self._settle()

    def _one_thread(self) -> AbstractContextManager[object]:
        """Keeps linear algebra to one thread: beside workers, two take ten times as long for such sizes."""
        limited: AbstractContextManager[object] = self._blas.limit(limits=1, user_api="blas")
        return limited

    def _settle(self) -> None:
        """Has pycma do its pending work now: it takes a tell only after an ask."""
        self._es.ask(1)


def broken_update(told: int) -> FloatingPointError:
    """Returns what to raise when a distribution is not one any more after so many candidates."""
    return FloatingPointError(
        f"the covariance matrix could not be updated after {told} candidates; "
        "the last generation's genomes or fitness are out of proportion"
    )


def _build(
    start: NDArray[np.float64],
    steps: NDArray[np.float64],
    population: int,
    smallest_steps: NDArray[np.float64],
    *,
    diagonal: bool,
) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not import matplotlib")
        import cma  # here, not above: a second of importing that only a search needs
        import cma.sigma_adaptation
    sigma = float(np.exp(np.mean(np.log(steps))))
    options = {
        "popsize": population,
        "CMA_diagonal": diagonal,
        "CMA_stds": (steps / sigma).tolist(),
        "AdaptSigma": cma.sigma_adaptation.CMAAdaptSigmaCSA,  # the other needs points of its own making,
        "CMA_mirrors": 0,  # and so do mirrored samples
        "conditioncov_alleviate": False,  # would change coordinates at an ask
        "signals_filename": "",  # would read settings from the working folder
        "minstd": smallest_steps.tolist(),
        "tolx": LEAST_STEP,
        "randn": np.random.RandomState(0).randn,  # no genome depends on it
        "seed": np.nan,  # or pycma would seed the whole process
        "verbose": -9,
    }
    return cma.CMAEvolutionStrategy(start, sigma, options)
