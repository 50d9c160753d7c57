"""The table of candidates: sorted, filtered and cut into pages by the database."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from evaluators import SPLITS, Split
from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.views import CandidateView
from service.specification.baselines import baseline_count
from service.store.failure_groups import failure_groups
from service.store.filtering.candidate_order import (
    NOT_PROPOSED_BY_A_SEARCH,
    WITHOUT_SCORES,
    CandidateFilter,
    ScoreBound,
    numbers_in_order,
    operators_in_use,
)
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of
from service.web.dashboard.choices import PAGE_ROWS, ReaderChoice
from service.web.dashboard.contexts import CandidatesContext
from service.web.dashboard.formats import is_share
from service.web.dashboard.frame import detail_and_event
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading

router = APIRouter()


@router.get("/candidates")
def candidates(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows a page of the table."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    choice = ReaderChoice.read(wanted, [objective.name for objective in detail.objectives])
    shown, total = _table(repository, row, choice)
    page = CandidatesContext(
        experiment=detail,
        newest_event=newest,
        current="candidates",
        choice=choice,
        candidates=shown,
        total=total,
        failures=failure_groups(repository.session, row.id) if choice.show == "failed" else (),
        splits_with_scores=splits_with_scores(repository, row, choice.split),
        basket=chosen_numbers(wanted),
        operators=operators_in_use(repository.session, row.id),
    )
    return render("candidates.html", page)


def splits_with_scores(repository: Repository, row: ExperimentRow, chosen: Split) -> tuple[Split, ...]:
    """Returns the splits that have something to show: baselines are evaluated wherever anything is."""
    count = baseline_count(row.facts)
    rows = repository.candidates(row.id, limit=count) if count else []
    found = {evaluation.split for each in rows for evaluation in each.evaluations}
    return tuple(split for split in SPLITS if split in found or split == chosen)


def _table(
    repository: Repository, row: ExperimentRow, choice: ReaderChoice
) -> tuple[Sequence[CandidateView], int]:
    """Returns one page of the chosen candidates, and how many there are on all."""
    front = reports.front_numbers(repository, row.id)
    wanted = CandidateFilter(
        status=WITHOUT_SCORES if choice.show == "failed" else (),
        kinds=NOT_PROPOSED_BY_A_SEARCH if choice.show == "baselines" else (),
        among=front if choice.show == "front" else None,
        scores=_bounds(row, choice),
        generations=(choice.generation.low, choice.generation.high),
        operator=choice.operator,
    )
    numbers, total = numbers_in_order(
        repository.session,
        row.id,
        choice.order,
        wanted,
        split=choice.split,
        limit=PAGE_ROWS,
        offset=(choice.page - 1) * PAGE_ROWS,
    )
    found = {each.number: each for each in repository.candidates_numbered(row.id, numbers)}
    return [reports.candidate_view(found[number], front=front) for number in numbers], total


def _bounds(row: ExperimentRow, choice: ReaderChoice) -> list[ScoreBound]:
    """Returns the bounds of scores in their own units: readers write shares in percent."""
    found = []
    for place, bounds in choice.scores.items():
        objective = objectives_of(row).each[place]
        low, high = (
            end / 100 if end is not None and is_share(objective.metric) else end
            for end in (bounds.low, bounds.high)
        )
        found.append(ScoreBound(objective.name, low, high))
    return found
