"""Try it: a prompt to any candidate and its parents, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.errors import NotFoundError
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading

LONGEST_PROMPT = 4_000  # characters that an address may hold
router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class TryContext(ExperimentPage):
    """The form: the candidate and the prompt that it has at first."""

    first: int | None
    prompt: str


@router.get("/try")
def page(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the form; its script puts the prompt, and shows the answers."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    chosen = chosen_numbers(wanted, 1)
    context = TryContext(
        experiment=detail,
        newest_event=newest,
        current="try",
        first=chosen[0]
        if chosen
        else (detail.winner.number if detail.winner else detail.progress.best_number),
        prompt=wanted.get("prompt", "")[:LONGEST_PROMPT],
    )
    return render("try.html", context)
