"""The front: its page, and the data that its pictures are drawn from in the browser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from evaluators import SPLITS, Split
from search_spaces import Recipe
from service.errors import NotFoundError
from service.reports import experiments as reports
from service.reports.inside.coefficient_maps import coefficients
from service.reports.inside.recipe_parts import told_parameter
from service.reports.packed_columns import packed
from service.reports.recipe_words import in_few_words
from service.reports.score_columns import ScoreColumns
from service.specification.baselines import baseline_count
from service.store.columns import changes_since, origins
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of
from service.web.dashboard.formats import is_share, short_model
from service.web.dashboard.frame import ExperimentPage, detail_and_event
from service.web.dashboard.rendering import Wanted, missing, render
from service.web.dashboard.sections.candidates import splits_with_scores
from service.web.dependencies import Reading, Services, ServicesHere

MOST_GENES = 500  # candidates whose genes are drawn
COLOURS = ("kind", "generation", "operator", "rank")
_NUMBER, _GENERATION = -2, -3  # across, in the place of an objective
_TIMES = {str(_NUMBER): _NUMBER, str(_GENERATION): _GENERATION}
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Axes:
    """What the picture shows at first; the page keeps it in the query string.

    Attributes:
        x, y, z: Places of objectives; -1 for none, and across -2 for numbers, -3 for generations.
    """

    split: Split
    x: int
    y: int
    z: int
    colour: str
    logx: bool
    logy: bool
    ellipses: bool
    arrows: bool
    mixes: bool = True

    @classmethod
    def read(cls, wanted: Mapping[str, str], names: Sequence[str], colours: Sequence[str]) -> Self:
        """Takes what makes sense of a query string, and the defaults for the rest."""

        def place(name: str, default: int) -> int:
            text = wanted.get(name, "")
            if text in names:
                return names.index(text)
            return int(text) if text.isdecimal() and len(text) < 4 and int(text) < len(names) else default

        split, colour = wanted.get("split", ""), wanted.get("colour", "")
        return cls(
            split=split if split in SPLITS else "search",
            x=_TIMES.get(wanted.get("x", ""), place("x", 0 if len(names) > 1 else _NUMBER)),
            y=place("y", min(1, len(names) - 1)),
            z=place("z", -1),
            colour=colour if colour in colours else "kind",
            logx=wanted.get("logx") == "1",
            logy=wanted.get("logy") == "1",
            ellipses=wanted.get("ellipses", "1") != "0",
            arrows=wanted.get("arrows", "1") != "0",
            mixes=wanted.get("mixes", "1") != "0",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontContext(ExperimentPage):
    """The page of the front."""

    axes: Axes
    colours: Sequence[str]
    splits_with_scores: tuple[Split, ...]


@router.get("/front")
def front(key: str, repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the page; its scripts fetch `columns.bin`."""
    try:
        row = repository.experiment(key)
    except NotFoundError as error:
        return missing(error)
    detail, newest = detail_and_event(repository, row)
    colours = (*COLOURS, *(["method"] if _has_methods(row) else []))
    axes = Axes.read(wanted, [objective.name for objective in detail.objectives], colours)
    page = FrontContext(
        experiment=detail,
        newest_event=newest,
        current="front",
        axes=axes,
        colours=colours,
        splits_with_scores=splits_with_scores(repository, row, axes.split),
    )
    return render("front.html", page)


class Known(BaseModel):
    """What a page wants, and what it has already: its newest event and place in the order of telling."""

    split: Split = "search"
    since: Annotated[int | None, Field(ge=0)] = None
    told: Annotated[int, Field(ge=-1)] = -1


@router.get("/columns.bin")
def columns(
    key: str,
    request: Request,
    repository: Reading,
    services: ServicesHere,
    known: Annotated[Known, Query()],
) -> Response:
    """Gives scores, origins and ranks by column; what changed since an event alone, where it is known."""
    row = repository.experiment(key)
    found = services.columns.columns(repository.session, row, known.split)
    tag = f'"{found.newest}-{known.split}-{known.since}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    changed = None
    if known.since is not None and not row.spec.get("rotation"):
        changed = changes_since(repository.session, row.id, known.since, known.told).numbers
    body = packed(
        found,
        origins(repository.session, row.id, changed, methods=_has_methods(row)),
        numbers=changed,
        winner=None if row.winner is None else int(row.winner["number"]),
        held_out=_held_out(services, repository, row) if known.split == "search" else {},
        shares=[is_share(objective.metric) for objective in objectives_of(row)],
    )
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    return Response(body, media_type="application/octet-stream", headers=headers)


@router.get("/genes.json")
def genes(key: str, repository: Reading) -> Response:
    """Gives the genes of the front's newest candidates and of the baselines; words are left out."""
    row = repository.experiment(key)
    names = reports.gene_names(row)
    baselines = range(baseline_count(row.facts))
    wanted = sorted({*reports.front_numbers(repository, row.id), *baselines})[-MOST_GENES:]
    values = {
        found.number: [gene if isinstance(gene, (int, float)) else None for gene in found.genome]
        for found in repository.candidates_numbered(row.id, wanted)
        if found.genome is not None
    }
    return _json({"names": names, "values": values})


@router.get("/hover/{number}.json")
def hover(key: str, number: int, repository: Reading) -> Response:
    """Says a recipe in few words, with what each parent gives along the layers."""
    row = repository.experiment(key)
    found = repository.candidate(row.id, number)
    if found.recipe is None:
        return _json({"words": found.infeasible_reason or "no recipe", "bars": []})
    recipe = Recipe.model_validate(found.recipe)
    return _json({"words": in_few_words(recipe, row.facts["layers"]), "bars": _bars(row, recipe)})


def _bars(row: ExperimentRow, recipe: Recipe) -> list[dict[str, Any]]:
    """Returns, per parent, the mean of its coefficients in each layer as a share of the largest."""
    told = told_parameter(recipe)
    if told is None:
        return []
    found = coefficients(recipe, row.facts["layers"], layer_prefix=row.facts["layer_prefix"])
    one = next((each for each in found if each.parameter == told.name), None)
    if one is None:
        return []
    values = np.abs(np.nan_to_num(one.values[1:-1]))
    top = float(values.max(initial=0.0)) or 1.0
    owners = list(dict.fromkeys(column.parent for column in one.columns))
    places = {owner: [i for i, c in enumerate(one.columns) if c.parent == owner] for owner in owners}
    return [
        {
            "parent": short_model(owner),
            "heights": [round(h, 3) for h in (values[:, places[owner]].mean(axis=1) / top).tolist()],
        }
        for owner in owners
    ]


def _has_methods(row: ExperimentRow) -> bool:
    """Says whether the space chooses among several merge methods."""
    return bool(row.spec["space"].get("methods"))


def _held_out(services: Services, repository: Repository, row: ExperimentRow) -> dict[int, list[float]]:
    """Returns the finalists' scores on the test split; empty while it is sealed."""
    if row.winner is None:
        return {}
    test: ScoreColumns = services.columns.columns(repository.session, row, "test")
    whole = np.flatnonzero(test.complete)
    return {int(test.numbers[i]): test.values[i].tolist() for i in whole}


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), media_type="application/json", headers={"Cache-Control": "no-cache"})
