"""Statistics of scores on the same items: paired tests, and the chance of being on the front.

Every function takes fitness per item (larger is better) and no model.  The binomial test is exact, so that
small samples are treated right.

Shapes: N items, C candidates, D draws, O objectives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

_DRAWS = 1000
_SAME = 1e-12  # fitness that differs by no more than rounding is a tie


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One model against another on the same items.

    Attributes:
        difference: Mean fitness of the first less that of the second.
        stderr: Standard error of the difference; 0 for fewer than two items.
        better: Items on which the first is better.
        worse: Items on which it is worse.
        p_value: Two-sided; of the exact McNemar test where all answers are right or wrong, else of
            the sign test (both are the binomial test of `better` against `worse`).
        test: `mcnemar` or `sign`.
    """

    difference: float
    stderr: float
    better: int
    worse: int
    p_value: float
    test: str


def paired_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Compares two models item by item (McNemar 1947; Dror et al., ACL 2018, for its use on benchmarks).

    Raises:
        ValueError: They did not answer the same number of items, or none.
    """
    first_N, second_N = np.asarray(first, float), np.asarray(second, float)
    if first_N.shape != second_N.shape or not first_N.size:
        raise ValueError(f"{first_N.size} and {second_N.size} items; compare answers to the same items")
    gaps_N = first_N - second_N
    stderr = float(gaps_N.std(ddof=1) / math.sqrt(gaps_N.size)) if gaps_N.size > 1 else 0.0
    better, worse = int((gaps_N > _SAME).sum()), int((gaps_N < -_SAME).sum())
    binary = set(np.unique(np.abs(np.concatenate([first_N, second_N])))) <= {0.0, 1.0}
    return PairedTest(
        float(gaps_N.mean()),
        stderr,
        better,
        worse,
        binomial_p_value(better, worse),
        "mcnemar" if binary else "sign",
    )


def binomial_p_value(better: int, worse: int) -> float:
    """Returns the two-sided probability of a split at least as uneven if both were as likely."""
    count = better + worse
    return float(binomtest(better, count).pvalue) if count else 1.0


def chances_on_front(
    answers: Sequence[Sequence[Sequence[float]]], *, seed: int = 0, draws: int = _DRAWS
) -> list[float]:
    """Returns each candidate's probability of being non-dominated, by bootstrap over the items.

    The items of an objective are drawn anew, the same ones for all candidates, so that what they
    find hard together is not taken for noise.

    Args:
        answers: Per candidate and objective, fitness on each item of that objective.
        seed: Of the draws.
        draws: Resamples of the items.
    """
    if not answers:
        return []
    rng = np.random.default_rng(seed)
    means_DCO = np.empty((draws, len(answers), len(answers[0])))
    for objective in range(len(answers[0])):
        values_CN = np.array([candidate[objective] for candidate in answers], float)
        count = values_CN.shape[1]
        counts_DN = rng.multinomial(count, np.full(count, 1.0 / count), size=draws)
        means_DCO[:, :, objective] = counts_DN @ values_CN.T / count
    on_front = np.zeros(len(answers))
    for number in range(len(answers)):
        gaps_DCO = means_DCO - means_DCO[:, number : number + 1]
        dominates_DC = (gaps_DCO >= -_SAME).all(axis=2) & (gaps_DCO > _SAME).any(axis=2)
        dominated_D = np.any(dominates_DC, axis=1)
        on_front[number] = 1.0 - float(np.mean(dominated_D))
    return [float(chance) for chance in on_front]
