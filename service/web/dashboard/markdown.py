"""Markdown that people write into notes, as markup that is safe on a page."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup


@cache
def _reader() -> MarkdownIt:
    """Reads CommonMark with tables; markup is shown as text, and pictures of others are not fetched."""
    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")


def markdown(text: str) -> Markup:
    """Returns notes as markup; links lead to http, https and mail addresses or within the service."""
    return Markup(_reader().render(text))  # noqa: S704 - the reader escapes what is not its own markup
