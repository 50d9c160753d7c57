"""Sample answers: one item, put to a candidate and its parents, with the prompt as each model saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from evaluators import Split
from service.errors import NotFoundError
from service.experiment.candidate import CandidateKind
from service.experiment.spec import ExperimentSpec
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading

MOST_PARENTS = 6
router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesContext(ExperimentPage):
    """The form: what it has at first.

    Attributes:
        names: Of the objectives whose items can be shown.
        splits_open: Those that may be read: the test split once it was opened.
        parents: What the parents are called, by their numbers.
    """

    names: Sequence[str]
    splits_open: Sequence[Split]
    parents: Mapping[int, str]
    first: int | None
    objective: str
    split: Split
    item: int


@router.get("/samples")
def page(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the form; its script has each model answer the item, and shows the answers."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    names, opened = _names(row), _open(row)
    chosen = chosen_numbers({"sel": wanted.get("number") or wanted.get("sel", "")}, 1)
    item = wanted.get("item", "")
    context = SamplesContext(
        experiment=detail,
        newest_event=newest,
        current="samples",
        names=names,
        splits_open=opened,
        parents=_parents(repository, row),
        first=None,
        objective=wanted["objective"] if wanted.get("objective") in names else (names or [""])[0],
        split=next((split for split in opened if split == wanted.get("split")), opened[0]),
        item=int(item) if item.isascii() and item.isdecimal() and len(item) < 10 else 0,
    )
    return render("samples.html", replace(context, first=chosen[0] if chosen else context.chosen))


def _names(row: ExperimentRow) -> list[str]:
    """Returns the objectives that are lm-eval's tasks."""
    spec = ExperimentSpec.model_validate({"chat": {"apply": "off"}} | row.spec)
    return [one.name for one in spec.benchmarks if one.kind == "lm_eval"]


def _open(row: ExperimentRow) -> tuple[Split, ...]:
    """Returns the splits whose items may be looked at: what picks the winner only once it has."""
    return ("search",) if row.winner is None else ("test", "search", "selection")


def _parents(repository: Repository, row: ExperimentRow) -> dict[int, str]:
    count = len(row.facts["baselines"])
    rows = repository.candidates(row.id, limit=count) if count else []
    found = [each for each in rows if each.kind is CandidateKind.PARENT][:MOST_PARENTS]
    return {each.number: each.label or f"candidate {each.number}" for each in found}
