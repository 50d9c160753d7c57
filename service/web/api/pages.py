"""Pages of lists: how many rows, and the opaque token that the next page begins with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from service.errors import InvalidSpecError, Mistake
from service.store.filtering.ordering import read_token

DEFAULT_SIZE = 50
MOST_ROWS = 1000
Row = TypeVar("Row")


class PageQuery(BaseModel):
    """Which part of a list is wanted; sizes over 1000 are cut to 1000."""

    model_config = ConfigDict(extra="forbid")

    page_size: Annotated[
        int, Field(ge=1, description="Most rows wanted; more than 1000 are never given.")
    ] = DEFAULT_SIZE
    page_token: Annotated[
        str | None, Field(max_length=2000, description="`next_page_token` of the page before.")
    ] = None

    @property
    def size(self) -> int:
        """How many rows to give."""
        return min(self.page_size, MOST_ROWS)

    def place(self) -> tuple[Any, Any] | None:
        """Returns the value and the key that the token of a sorted list holds.

        Raises:
            PageTokenError: The token is not one that this service gave.
        """
        if self.page_token is None:
            return None
        found = read_token(_decode(self.page_token))
        if found is None:
            raise PageTokenError(self.page_token)
        return found

    def key_of(self, place: tuple[Any, Any]) -> UUID:
        """Returns the id in a sorted list's place.

        Raises:
            PageTokenError: It is none.
        """
        try:
            return UUID(str(place[1]))
        except ValueError as error:
            raise PageTokenError(self.page_token or "") from error

    def number(self, default: int) -> int:
        """Returns the number that the token holds.

        Raises:
            PageTokenError: The token is not one that this service gave.
        """
        if self.page_token is None:
            return default
        text = _decode(self.page_token)
        if not text.isdecimal() or len(text) > 18:
            raise PageTokenError(self.page_token)
        return int(text)

    def id(self) -> UUID | None:
        """Returns the id that the token holds.

        Raises:
            PageTokenError: The token is not one that this service gave.
        """
        if self.page_token is None:
            return None
        try:
            return UUID(_decode(self.page_token))
        except ValueError as error:
            raise PageTokenError(self.page_token) from error


PageWanted = Annotated[PageQuery, Query()]


class PageTokenError(InvalidSpecError):
    """A page token that this service never gave."""

    code = "invalid_page_token"

    def __init__(self, token: str) -> None:
        remedy = "use `next_page_token` of the page before, as it is; leave it out for the first page"
        super().__init__([Mistake("/query/page_token", self.code, f"{token!r} is no page token", remedy)])
        self.detail = f"{token!r} is no page token"
        self.remedy = remedy


def cut_to(rows: Sequence[Row], size: int, key: Callable[[Row], int | UUID]) -> tuple[list[Row], str | None]:
    """Returns the rows of one page, and the next page's token; None where this one is the last.

    Args:
        rows: One more than the page holds, where there is one.
        size: The most rows of a page.
        key: What a token holds of a row.
    """
    shown = list(rows[:size])
    return shown, token_for(key(shown[-1])) if len(rows) > size else None


def token_for(last: int | UUID | str) -> str:
    """Returns the token of the page that begins after this row."""
    return base64.urlsafe_b64encode(str(last).encode()).decode().rstrip("=")


def _decode(token: str) -> str:
    try:
        padded = token + "=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise PageTokenError(token) from error
