"""The front on one split, as people see it: a question put to the columns of scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces import Recipe
from service.archives.pareto import hypervolume_of
from service.reports.recipe_words import in_few_words
from service.reports.score_columns import ScoreColumns
from service.reports.views import FrontPoint, FrontView, ScoreView
from service.store.models import ExperimentRow

MOST_DOMINATED = 1_000
Recipes = Callable[[Sequence[int]], Mapping[int, Recipe]]
"""Candidates' numbers -> the recipes of those that have one."""


def front_view(
    columns: ScoreColumns,
    experiment: ExperimentRow,
    *,
    dominated: int = MOST_DOMINATED,
    recipes: Recipes | None = None,
    most: int | None = None,
    beside: Sequence[ScoreColumns] = (),
) -> FrontView:
    """Returns the front, measured from the worst baseline in each objective.

    Args:
        columns: Of the split.
        experiment: Whose front it is.
        dominated: How many of the candidates off the front are listed: the newest, the winner, and with
            one objective those that were the best when they came.
        recipes: Where the recipes of the front, the baselines and the winner are read, to be told in a
            few words; None leaves the words out.
        most: How many candidates of the front are listed: those with the best weighted mean, the
            baselines and the winner.  The hypervolume, which may take seconds, is then left out.
        beside: Columns of other splits, whose scores are told too.
    """
    objectives, every = columns.objectives, (columns, *beside)
    reference = columns.worst_baseline()
    if columns.split == "search" and experiment.reference is not None:
        reference = tuple(experiment.reference)
    winner = None if experiment.winner is None else int(experiment.winner["number"])
    whole = columns.front()
    won = np.flatnonzero(columns.numbers == winner) if winner is not None else whole[:0]
    front = whole if most is None else _best(columns, whole, most, won)
    others = np.setdiff1d(np.flatnonzero(columns.complete & ~columns.is_baseline), whole)
    shown = others[max(len(others) - dominated, 0) :]
    told = np.concatenate((won, columns.records()))
    base = np.flatnonzero(columns.complete & columns.is_baseline)
    worded = np.union1d(np.union1d(front, base), won)
    words = {} if recipes is None else _words(recipes(columns.numbers[worded].tolist()), experiment)
    fitness = columns.values[whole] * columns.signs
    return FrontView(
        split=columns.split,
        objectives=list(objectives),
        front=_points(every, front, words),
        front_total=len(whole),
        baselines=_points(every, base, words),
        dominated=_points(every, np.union1d(shown, np.intersect1d(others, told)), words),
        dominated_total=len(others),
        reference=objectives.in_own_units(reference),
        hypervolume=hypervolume_of(fitness, reference) if most is None else None,
        winner=winner,
    )


def _best(
    columns: ScoreColumns, front: NDArray[np.int64], most: int, won: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns the rows of the front's best by their weighted mean, of its baselines, and of the winner."""
    best = front[np.argsort(-columns.scalars[front], kind="stable")[:most]]
    named = np.concatenate((front[columns.is_baseline[front]], np.intersect1d(front, won)))
    return np.union1d(best, named)


def _words(recipes: Mapping[int, Recipe], experiment: ExperimentRow) -> dict[int, str]:
    return {number: in_few_words(recipe, experiment.facts["layers"]) for number, recipe in recipes.items()}


def _points(
    every: Sequence[ScoreColumns], rows: NDArray[np.int64], words: Mapping[int, str]
) -> list[FrontPoint]:
    columns = every[0]
    points = []
    for row in rows.tolist():
        number = int(columns.numbers[row])
        scores = {found.split: told for found in every if (told := _scores(found, number))}
        points.append(
            FrontPoint(
                number=number,
                kind=columns.kinds[row],
                label=columns.labels[row],
                words=words.get(number, ""),
                scores=scores,
            )
        )
    return points


def _scores(columns: ScoreColumns, number: int) -> list[ScoreView]:
    """Returns what a candidate scored on the columns' split; empty where it was not asked."""
    row = int(np.searchsorted(columns.numbers, number))
    if row == len(columns.numbers) or columns.numbers[row] != number:
        return []
    return [
        ScoreView(
            benchmark=objective.name,
            metric=objective.metric,
            value=float(columns.values[row, place]),
            stderr=float(columns.errors[row, place]),
            higher_is_better=objective.higher_is_better,
            items=int(columns.items[row, place]),
            is_part=bool(columns.parts[row, place]),
        )
        for place, objective in enumerate(columns.objectives)
        if np.isfinite(columns.values[row, place])
    ]
