"""What a list is to hold: which rows, in which order, and which members of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi.responses import JSONResponse
from pydantic import Field

from service.reports.views import Page, View
from service.store.filtering.grammar import LONGEST, invalid
from service.web.api.pages import PageQuery

FILTER_HELP = (
    "A subset of AIP-160: `field = value` with = != < <= > >= and : (contains), joined by AND, OR, NOT and "
    "parentheses. An unknown field is refused with the list of those that there are."
)
FIELDS_HELP = "Members of each item that are wanted, with commas; without it all."


class SelectionQuery(PageQuery):
    """Which rows are wanted, in which order, and what of each."""

    filter: Annotated[str | None, Field(min_length=1, max_length=LONGEST, description=FILTER_HELP)] = None
    order_by: Annotated[
        str | None, Field(min_length=1, max_length=300, description="A field; `desc` after it sorts down.")
    ] = None
    fields: Annotated[str | None, Field(min_length=1, max_length=1000, description=FIELDS_HELP)] = None


class PartialPage(Page):
    """A page whose items hold only the members that were asked for."""

    items: list[dict[str, Any]]


def only(page: Page, items: Sequence[View], kind: type[View], fields: str) -> JSONResponse:
    """Returns a page with these members of its items alone.

    Raises:
        InvalidSpecError: Items have no such member.
    """
    wanted = [name.strip() for name in fields.split(",") if name.strip()]
    known = kind.model_fields
    if unknown := [name for name in wanted if name not in known]:
        hint = f"there are {', '.join(known)}"
        raise invalid(f"items have no member {unknown[0]!r}", hint, pointer="/query/fields")
    shown = [item.model_dump(mode="json", include=set(wanted)) for item in items]
    return JSONResponse({"items": shown, "next_page_token": page.next_page_token})
