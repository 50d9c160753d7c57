"""Sample answers: one item, put to a candidate and its parents, with the prompt as each model saw it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from evaluators import Split
from evaluators.benchmark import Benchmark
from search_spaces import Recipe
from service.errors import ConflictError, NotFoundError
from service.experiment.spec import ExperimentSpec
from service.specification.planning import ExperimentFacts
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.web.api.candidates.asking import bare_models, turn
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import Wanted, chosen_numbers, missing, render
from service.web.dependencies import Reading, Services, ServicesHere
from workers.protocol.prompt_orders import ItemOrder, ItemReport, PromptedModel

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesContext(ExperimentPage):
    """The form: what it has at first.

    Attributes:
        names: Of the objectives whose items can be shown.
        splits_open: Those that may be read: the test split once it was opened.
    """

    names: Sequence[str]
    splits_open: Sequence[Split]
    first: int | None
    objective: str
    split: Split
    item: int


class WantedItem(BaseModel):
    """An item, and the candidate that it is put to beside the parents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: str
    split: Split
    item: Annotated[int, Field(ge=0, lt=2**31)]
    number: Annotated[int, Field(ge=0, lt=2**31)]


@router.get("/samples")
def page(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the form; its script asks for an item, and shows the answers."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    names, opened = list(_benchmarks(row)), _open(row)
    chosen, item = chosen_numbers(wanted, 1), wanted.get("item", "")
    context = SamplesContext(
        experiment=detail,
        newest_event=newest,
        current="samples",
        names=names,
        splits_open=opened,
        first=chosen[0]
        if chosen
        else (detail.winner.number if detail.winner else detail.progress.best_number),
        objective=wanted["objective"] if wanted.get("objective") in names else (names or [""])[0],
        split=next((split for split in opened if split == wanted.get("split")), opened[0]),
        item=int(item) if item.isascii() and item.isdecimal() and len(item) < 10 else 0,
    )
    return render("samples.html", context)


@router.post("/samples")
def samples(key: str, wanted: WantedItem, services: ServicesHere) -> Response:
    """Has a worker put an item to the candidate and its parents; nothing is stored."""
    with services.database.reading() as session:
        order = _order(Repository(session), key, wanted)
    found = _asked(services, order)
    content = {"items": [asdict(entry) for entry in found.entries]}
    return Response(json.dumps(content), media_type="application/json")


def _asked(services: Services, order: ItemOrder) -> ItemReport:
    with turn(services):
        found = services.workforce.run_job(order)
    assert isinstance(found, ItemReport)  # noqa: S101 - what such an order is answered with
    return found


def _order(repository: Repository, key: str, wanted: WantedItem) -> ItemOrder:
    row = repository.experiment(key)
    candidate = repository.candidate(row.id, wanted.number)
    known = _benchmarks(row)
    if wanted.objective not in known:
        raise NotFoundError("objective with items", wanted.objective)
    if wanted.split not in _open(row):
        raise ConflictError(f"the {wanted.split} split is sealed", "wait until the winner was examined")
    if candidate.recipe is None:
        raise ConflictError(f"candidate {wanted.number} has no recipe", "ask one that decodes to a recipe")
    own = PromptedModel(
        candidate.label or f"candidate {wanted.number}", Recipe.model_validate(candidate.recipe)
    )
    bare = bare_models(ExperimentFacts.model_validate(row.facts))
    models = (own, *(model for model in bare if model.recipe != own.recipe))
    dtype = row.spec.get("dtype")
    return ItemOrder(models, known[wanted.objective], wanted.split, wanted.item, dtype=dtype)


def _benchmarks(row: ExperimentRow) -> dict[str, Benchmark]:
    """Returns the benchmarks that are lm-eval's tasks, by their names."""
    spec = ExperimentSpec.model_validate({"chat": {"apply": "off"}} | row.spec)
    return {one.name: one for one in spec.benchmarks if one.kind == "lm_eval"}


def _open(row: ExperimentRow) -> tuple[Split, ...]:
    """Returns the splits whose items may be looked at: what picks the winner only once it has."""
    return ("search",) if row.winner is None else ("test", "search", "selection")
