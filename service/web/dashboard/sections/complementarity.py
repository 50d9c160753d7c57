"""Which items each parent and the winner solve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from evaluators import Split
from service.errors import NotFoundError
from service.experiment.candidate import CandidateKind
from service.reports.items.complementarity import Complementarity, complementarity
from service.reports.items.item_tables import ItemTable, item_tables
from service.reports.views import ExperimentDetail
from service.specification.baselines import baseline_count
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading

MOST_PARENTS = 6
router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplementarityContext(ExperimentPage):
    """What each model solves.

    Attributes:
        split: Whose items; the test split once it is open.
        merge: The candidate beside the parents; None where nothing is scored.
        names: What the candidates are called.
        objectives: Those whose items are right or wrong.
        graded: Names of the others.
    """

    split: Split
    merge: int | None
    names: Mapping[int, str]
    objectives: Sequence[Complementarity]
    graded: Sequence[str]


@router.get("/complementarity")
def page(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the items by who solves them: the parents, and the winner or the first in the basket."""
    try:
        row = repository.experiment(key)
        detail, newest = detail_and_event(repository, row)
        chosen = chosen_numbers(wanted, 1)
        merge = chosen[0] if chosen else _usual(detail)
        split, tables, names = _tables(repository, row, merge)
    except NotFoundError as error:
        return missing(error)
    found = [complementarity(table) for table in tables]
    context = ComplementarityContext(
        experiment=detail,
        newest_event=newest,
        current="complementarity",
        split=split,
        merge=merge,
        names=names,
        objectives=[one for one in found if one is not None],
        graded=[table.objective for table, one in zip(tables, found, strict=True) if one is None],
    )
    return render("complementarity.html", context)


def _usual(detail: ExperimentDetail) -> int | None:
    return detail.winner.number if detail.winner else detail.progress.best_number


def _tables(
    repository: Repository, row: ExperimentRow, merge: int | None
) -> tuple[Split, list[ItemTable], dict[int, str]]:
    """Returns the models' items, on the test split if all of them answered it."""
    count = baseline_count(row.facts)
    rows = repository.candidates(row.id, limit=count) if count else []
    parents = [found for found in rows if found.kind is CandidateKind.PARENT][:MOST_PARENTS]
    names = {found.number: (found.label or "").removeprefix("parent:").strip() for found in parents}
    if merge is None or merge in names:
        others = [number for number in names if number != merge]
        numbers = [*others, *([merge] if merge is not None else [])]
    else:
        found = repository.candidate(row.id, merge)
        names[merge] = found.label or f"#{merge}"
        numbers = [*(parent.number for parent in parents), merge]
    splits: tuple[Split, ...] = ("test", "search")
    for split in splits:
        tables = item_tables(repository, row.id, numbers, split)
        if tables:
            return split, tables, names
    return "search", [], names
