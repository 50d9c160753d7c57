"""Fills templates with contexts; what all routes of the dashboard share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluators import SPLITS
from service.errors import NotFoundError
from service.web.access.present import may
from service.web.dashboard import assets, formats
from service.web.dashboard.contexts import MissingContext

_TEMPLATES = Environment(
    loader=PackageLoader("service.web.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(formats.FILTERS)
_TEMPLATES.globals.update(address=assets.address, all_shares=formats.all_shares, splits=SPLITS, may=may)


def _wanted(request: Request) -> dict[str, str]:
    return dict(request.query_params)


Wanted = Annotated[dict[str, str], Depends(_wanted)]


def render(template: str, page: object, *, status: int = 200) -> HTMLResponse:
    """Fills a template with its context."""
    text = _TEMPLATES.get_template(template).render(page=page)
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-cache"})


def missing(error: NotFoundError) -> HTMLResponse:
    """Returns the page that says that there is nothing here."""
    return render("missing.html", MissingContext(error.detail), status=404)


def figure(text: str, tag: str | None = None) -> Response:
    """Returns a figure's JSON."""
    headers: Mapping[str, str] = {"Cache-Control": "no-cache"} | ({"ETag": tag} if tag else {})
    return Response(text, media_type="application/json", headers=dict(headers))


def chosen_numbers(wanted: Mapping[str, str], most: int = 8) -> list[int]:
    """Returns the candidates in the basket, `sel=158,234`; what is no number is left out."""
    parts = wanted.get("sel", "").split(",")
    found = [int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 10]
    return list(dict.fromkeys(found))[:most]
