"""One emitter of CMA-ME or CMA-MAE, as pyribs computes it.  The only module that imports pyribs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from search_spaces.errors import SpaceError
from service.archives.grid import MeasureAxis


@dataclass(frozen=True, slots=True)
class Style:
    """What makes CMA-ME and CMA-MAE of the same parts.

    Attributes:
        ranker, selection, restart: pyribs' names for the rules of its evolution strategy emitter.
        learning_rate: How far a cell's threshold follows its newest elite; None: all the way.
    """

    ranker: str
    selection: str
    restart: str
    learning_rate: float | None = None


class SharedArchive:
    """pyribs' grid archive, which all emitters add to and improve upon.

    Args:
        dimensions: Length of the points.
        axes: The measures.
        style: CMA-MAE needs thresholds that start below every fitness: `worst`.
        worst: The least fitness seen so far.
        seed: What emitters draw elites by when they begin again.

    Raises:
        SpaceError: pyribs is not installed.
    """

    def __init__(
        self, dimensions: int, axes: Sequence[MeasureAxis], style: Style, *, worst: float, seed: int
    ) -> None:
        ribs = loaded_ribs()
        slow = style.learning_rate is not None
        self.ribs = ribs.archives.GridArchive(
            solution_dim=dimensions,
            dims=[axis.cells for axis in axes],
            ranges=[(axis.low, axis.high) for axis in axes],
            learning_rate=style.learning_rate,
            threshold_min=worst - 1e-9 * max(1.0, abs(worst)) if slow else -np.inf,
            seed=seed,
        )

    def add(
        self, point: NDArray[np.float64], fitness: float, measures: tuple[float, ...]
    ) -> tuple[int, float]:
        """Returns whether the point was added (2 in a new cell, 1 in an old one, 0) and its improvement."""
        told = self.ribs.add_single(point, fitness, measures)
        return int(told["status"]), float(told["value"])


@dataclass(frozen=True, slots=True)
class Added:
    """A point after it was offered to the archive; one without measures, or infeasible, was not."""

    point: NDArray[np.float64]
    fitness: float
    measures: tuple[float, ...] | None
    status: int
    improvement: float


class Emitter:
    """Moves a normal distribution to where it fills and improves cells (Fontaine et al., 1912.02400).

    pyribs' own samples are not used: they come from a stream, so that a point would depend on what was
    asked before.  Here a point is arithmetic on the distribution and on a draw that the caller brings.
    """

    def __init__(
        self,
        archive: SharedArchive,
        style: Style,
        *,
        mean: NDArray[np.float64],
        sigma: float,
        batch: int,
        seed: int,
    ) -> None:
        self._archive = archive.ribs
        self._blas = ThreadpoolController()
        self._ribs = loaded_ribs().emitters.EvolutionStrategyEmitter(
            archive.ribs,
            x0=mean,
            sigma0=sigma,
            ranker=style.ranker,
            selection_rule=style.selection,
            restart_rule=style.restart,
            batch_size=batch,
            seed=seed,
        )
        # A few products of small matrices, which numba takes seconds to compile in every new process.
        strategy = self._ribs._opt
        strategy._calc_cov_update = strategy._calc_cov_update.py_func
        self._root = np.eye(len(mean))

    def at(self, draw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the point that a standard normal draw stands for, shape [dimensions]."""
        strategy = self._ribs._opt
        return np.asarray(strategy.mean + strategy.sigma * (self._root @ draw), dtype=np.float64)

    def tell(self, batch: Sequence[Added]) -> None:
        """Moves the distribution after a batch; points that were not offered rank last."""
        if self._archive.empty:
            return  # nothing to move towards, nor to begin again from
        strategy = self._ribs._opt
        strategy._solutions = np.array([added.point for added in batch])
        least = min((a.improvement for a in batch if a.measures is not None), default=0.0)
        last = least - max(1.0, abs(least))
        middle = (self._archive.lower_bounds + self._archive.upper_bounds) / 2
        with self._blas.limit(limits=1, user_api="blas"):
            self._ribs.tell(
                strategy._solutions,
                [added.fitness for added in batch],
                [middle if added.measures is None else added.measures for added in batch],
                {
                    "status": np.array([added.status for added in batch], dtype=np.int32),
                    "value": np.array([last if a.measures is None else a.improvement for a in batch]),
                },
            )
            strategy.cov.update_eigensystem(strategy.current_eval, strategy.lazy_gap_evals)
            axes = strategy.cov.eigenbasis
            self._root = (axes * np.sqrt(strategy.cov.eigenvalues)) @ axes.T


@cache
def loaded_ribs() -> Any:  # noqa: ANN401
    """Returns pyribs, which takes seconds to import the first time.

    Raises:
        SpaceError: It is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ribs.archives  # here, not above: it takes seconds, and may not be installed
            import ribs.emitters
    except ImportError as error:
        detail = f"pyribs cannot be imported ({error})"
        raise SpaceError(
            "optimizer.algorithm", detail, "install it with `pip install 'evomerge[qd]'`, or use map_elites"
        ) from error
    return ribs
