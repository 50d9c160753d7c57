"""Importance finds the genes that matter, and says where chance alone would give as much."""

from __future__ import annotations

import numpy as np
import pytest

from service.reports.analysis.correlations import correlations
from service.reports.analysis.importance import FEWEST, importances


def test_the_gene_that_decides_comes_first_and_is_told_from_chance() -> None:
    rng = np.random.default_rng(1)
    genes = rng.random((300, 4))
    fitness = 2 * genes[:, 2] + 0.1 * rng.random(300)

    found = importances(genes, fitness, ["a", "b", "c", "d"])

    assert found[0].gene == "c"
    assert found[0].is_clear
    assert found[0].direction > 0.2
    assert found[0].share > 0.6
    assert sum(one.share for one in found) == pytest.approx(1.0)


def test_where_nothing_matters_no_gene_stands_out_by_much() -> None:
    rng = np.random.default_rng(2)

    found = importances(rng.random((300, 6)), rng.random(300), list("abcdef"))

    assert sum(one.is_clear for one in found) <= 1


def test_of_too_few_candidates_nothing_is_said() -> None:
    rng = np.random.default_rng(3)

    assert importances(rng.random((FEWEST - 1, 2)), rng.random(FEWEST - 1), ["a", "b"]) == ()


def test_objectives_that_are_at_odds_have_a_negative_correlation() -> None:
    up = np.arange(20.0)
    table = correlations(np.column_stack([up, -up, np.zeros(20)]))

    assert table[0][1] == pytest.approx(-1.0)
    assert table[0][2] is None
    assert correlations(np.zeros((3, 2))) == []
