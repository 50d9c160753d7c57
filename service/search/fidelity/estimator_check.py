"""EstimatorCheck: whether an estimate of all items' score predicts later answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from service.experiment.findings import EstimatorFinding

ENOUGH = 20  # checks, before which nothing is judged
LONGEST = 200  # the newest that count


@dataclass(slots=True)
class EstimatorCheck:
    """Compares an estimator with the plain mean, both made before the answers that decide.

    Elites answer a new part of the items in every generation.  What the estimator said of that part
    beforehand, what the plain mean of their earlier answers said, and what came out are kept.
    """

    _estimated: list[float] = field(default_factory=list)
    _plain: list[float] = field(default_factory=list)
    _found: list[float] = field(default_factory=list)

    def add(self, *, estimated: float, plain: float, found: float) -> None:
        """Notes one comparison."""
        for row, value in ((self._estimated, estimated), (self._plain, plain), (self._found, found)):
            row.append(value)
            del row[:-LONGEST]

    @property
    def count(self) -> int:
        """How many comparisons count."""
        return len(self._found)

    @property
    def error(self) -> float | None:
        """The estimator's root mean squared error; None without comparisons."""
        return self._error(self._estimated)

    @property
    def plain_error(self) -> float | None:
        """The plain mean's."""
        return self._error(self._plain)

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's correlation of what was said and what came out; None where there is none."""
        return _spearman(self._estimated, self._found)

    @property
    def trusted(self) -> bool:
        """Says whether the estimator is to be used: it is, until the plain mean does better.

        Better is: a smaller error and no lower rank correlation, over at least twenty comparisons.
        """
        error, plain = self.error, self.plain_error
        if self.count < ENOUGH or error is None or plain is None:
            return True
        ranks, plain_ranks = self.rank_correlation, _spearman(self._plain, self._found)
        falls = ranks is not None and plain_ranks is not None and ranks < plain_ranks
        return error <= plain and not falls

    def finding(self) -> EstimatorFinding:
        """Returns how the estimator stands."""
        return EstimatorFinding(self.count, self.error, self.plain_error, self.rank_correlation, self.trusted)

    def _error(self, said: list[float]) -> float | None:
        if not said:
            return None
        pairs = zip(said, self._found, strict=True)
        return math.sqrt(sum((one - other) ** 2 for one, other in pairs) / len(said))


def _spearman(one: list[float], other: list[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(one) < 3 or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return float(spearmanr(one, other).statistic)
