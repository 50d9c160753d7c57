"""Compare candidates of one experiment: scores, recipes, and a test over the same items."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from evaluators import SPLITS, Split
from search_spaces import Recipe
from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.inside.coefficient_maps import CoefficientMap, coefficient_differences
from service.reports.items.item_tables import item_tables
from service.reports.items.paired import Paired, paired
from service.reports.views import CandidateView, ScoreView
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.formats import is_share
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.pictures.plane import score_of
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading

MOST_COMPARED = 6
CONTEXT_LINES = 2
router = APIRouter()


@dataclass(frozen=True, slots=True)
class TestedPair:
    """The first candidate against another one, per objective; empty where they share no items."""

    other: int
    split: Split
    results: Sequence[Paired]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareContext(ExperimentPage):
    """Candidates side by side.

    Attributes:
        pairs: The first against each of the others, item by item.
        maps: The first's coefficients less the second's; empty where their recipes differ in shape.
        lines: How the second's recipe becomes the first's, as a unified difference.
    """

    candidates: Sequence[CandidateView]
    pairs: Sequence[TestedPair]
    maps: Sequence[CoefficientMap]
    lines: Sequence[str]

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits on which any of them was evaluated."""
        return tuple(split for split in SPLITS if any(one.scores.get(split) for one in self.candidates))

    def score(self, candidate: CandidateView, objective: str, split: Split) -> ScoreView | None:
        """Returns one score."""
        return score_of(candidate, objective, split)

    def is_share(self, metric: str) -> bool:
        """Says whether a metric is read in percent."""
        return is_share(metric)


@router.get("/compare")
def compare(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the candidates in the basket side by side."""
    try:
        row = repository.experiment(key)
        detail, newest = detail_and_event(repository, row)
        numbers = chosen_numbers(wanted, MOST_COMPARED)
        rows = [repository.candidate(row.id, number) for number in numbers]
        pairs = [_tested(repository, row, numbers[0], other) for other in numbers[1:]]
    except NotFoundError as error:
        return missing(error)
    front = reports.front_numbers(repository, row.id)
    page = CompareContext(
        experiment=detail,
        newest_event=newest,
        current="compare",
        candidates=[reports.candidate_view(found, front=front) for found in rows],
        pairs=pairs,
        maps=_maps(row, rows),
        lines=_lines(rows),
    )
    return render("compare.html", page)


def _tested(repository: Repository, row: ExperimentRow, first: int, other: int) -> TestedPair:
    """Compares two candidates on the test items if both answered them, else on the search items."""
    splits: tuple[Split, ...] = ("test", "search")
    for split in splits:
        tables = item_tables(repository, row.id, [first, other], split)
        if tables:
            return TestedPair(other, split, [paired(table) for table in tables])
    return TestedPair(other, "search", [])


def _maps(row: ExperimentRow, rows: Sequence[CandidateRow]) -> tuple[CoefficientMap, ...]:
    recipes = [Recipe.model_validate(found.recipe) for found in rows[:2] if found.recipe is not None]
    if len(recipes) < 2:
        return ()
    first, second = recipes
    return coefficient_differences(first, second, row.facts["layers"], layer_prefix=row.facts["layer_prefix"])


def _lines(rows: Sequence[CandidateRow]) -> list[str]:
    texts = [reports.recipe_text(found) for found in rows[:2]]
    if len(texts) < 2 or None in texts:
        return []
    first, second = (str(text).splitlines() for text in texts)
    names = (f"candidate {rows[1].number}", f"candidate {rows[0].number}")
    return list(difflib.unified_diff(second, first, *names, lineterm="", n=CONTEXT_LINES))
