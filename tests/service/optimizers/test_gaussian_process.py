"""One kernel for many columns: what is smooth is foreseen, what is not is called noise."""

from __future__ import annotations

import numpy as np

from service.optimizers.gaussian_process import GaussianProcess, with_relevance

POINTS = np.random.default_rng(0).random((40, 3))
NEW = np.random.default_rng(1).random((25, 3))


def process(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> GaussianProcess:
    return GaussianProcess(POINTS, values, np.ones(values.shape[1]))


def test_straight_lines_are_carried_on() -> None:
    slopes = np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]])
    means, deviations = process(POINTS @ slopes).predict(NEW)
    assert np.abs(means - NEW @ slopes).max() < 0.05
    assert deviations.max() < 0.2


def test_what_bends_is_foreseen_between_known_points() -> None:
    means, _ = process(np.sin(4 * POINTS[:, :1])).predict(NEW)
    assert np.abs(means - np.sin(4 * NEW[:, :1])).mean() < 0.1


def test_what_is_not_smooth_is_noise_and_foreseen_as_the_mean() -> None:
    values = np.random.default_rng(2).standard_normal((40, 4))
    found = process(values)
    means, _ = found.predict(NEW)
    assert found.noise > 0.5
    assert np.abs(means - values.mean(axis=0)).max() < 0.8


def test_one_is_surest_where_one_has_been() -> None:
    found = GaussianProcess(POINTS[:, :1] / 4, np.sin(8 * POINTS[:, :1]), np.ones(1))
    _, deviations = found.predict(np.array([[0.1], [0.9]]))
    assert deviations[0] < deviations[1] / 3


def test_more_columns_than_points_tell_the_same_as_their_products() -> None:
    values = np.sin(3 * POINTS @ np.random.default_rng(3).standard_normal((3, 90)))
    many = GaussianProcess(POINTS, values, np.full(90, 1 / 9))
    means, _ = many.predict(POINTS)
    assert np.corrcoef(means.ravel(), values.ravel())[0, 1] > 0.95


def test_columns_without_any_spread_are_put_up_with() -> None:
    means, deviations = process(np.full((40, 2), 0.25)).predict(NEW)
    assert np.allclose(means, 0.25)
    assert np.isfinite(deviations).all()


def test_coordinates_that_matter_are_found_among_many_that_do_not() -> None:
    rng = np.random.default_rng(4)
    known, new = rng.random((60, 12)), rng.random((50, 12))

    def truth(
        points: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.asarray(np.sin(6 * points[:, :1]) + points[:, 1:2])

    even = GaussianProcess(known, truth(known), np.ones(1))
    scaled = with_relevance(known, truth(known), np.ones(1))
    assert scaled.scales[0] == scaled.scales.max()
    assert scaled.scales[2:].max() < scaled.scales[0] / 2
    errors = [np.abs(process.predict(new)[0] - truth(new)).mean() for process in (scaled, even)]
    assert errors[0] < 0.6 * errors[1]


def test_what_is_foreseen_without_a_known_point_tells_the_error_there() -> None:
    values = np.sin(4 * POINTS[:, :1])
    assert np.abs(process(values).errors()).mean() < np.abs(values - values.mean()).mean() / 3
