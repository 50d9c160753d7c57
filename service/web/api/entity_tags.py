"""Entity tags: answers that have not changed are not sent again (RFC 9110, If-None-Match)."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import Header
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ChangedMeanwhileError
from service.store.models import ExperimentRow

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1000,
        description="The ETag of what was last seen: where its name, notes, tags, star or spec are others by "
        "now, nothing is changed.",
    ),
]
PREFIX = "/api/v1/"
OK, NOT_MODIFIED = 200, 304


class EntityTags:
    """Gives JSON answers of the interface a tag made of their content; streams and tables go through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Holds an answer back until it is whole, and says 304 where the caller has it already."""
        fits = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not (fits and scope["path"].startswith(PREFIX)):
            await self.app(scope, receive, send)
            return
        known = _tags(Headers(scope=scope).get("if-none-match", ""))
        start: Message | None = None
        chunks: list[bytes] = []

        async def hold(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_tagged(message):
                start = message
                return
            if start is None or message["type"] != "http.response.body":
                await send(message)
                return
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                await _send_tagged(start, b"".join(chunks), known, send)

        await self.app(scope, receive, hold)


def experiment_tag(row: ExperimentRow, newest_event: int) -> str:
    """Returns an experiment's tag: what people wrote of it, and the newest that happened in it.

    It is a weak one: rates and times left change by the second.
    """
    return f'W/"{_written(row)}-{newest_event}"'


def check_unchanged(row: ExperimentRow, if_match: str | None) -> None:
    """Refuses to change an experiment that people have changed meanwhile; what its search did does not count.

    Raises:
        ChangedMeanwhileError: The tag tells of another name, other notes, tags, star or spec.
    """
    if if_match is None or if_match.strip() == "*":
        return
    seen = {tag.strip('"').partition("-")[0] for tag in _tags(if_match)}
    if _written(row) not in seen:
        raise ChangedMeanwhileError(f"experiment {row.name}")


def _written(row: ExperimentRow) -> str:
    content = json.dumps([row.name, row.spec, row.tags, row.starred], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def tag_of(content: bytes) -> str:
    """Returns the tag of an answer's content."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _is_tagged(message: Message) -> bool:
    headers = MutableHeaders(scope=message)
    return message["status"] == OK and headers.get("content-type", "").startswith("application/json")


def _tags(header: str) -> frozenset[str]:
    return frozenset(part.strip().removeprefix("W/") for part in header.split(",") if part.strip())


async def _send_tagged(start: Message, content: bytes, known: frozenset[str], send: Send) -> None:
    headers = MutableHeaders(scope=start)
    headers.setdefault("ETag", tag_of(content))
    headers.setdefault("Cache-Control", "no-cache")
    if headers["etag"].removeprefix("W/") in known or "*" in known:
        del headers["content-length"]
        del headers["content-type"]
        start["status"], content = NOT_MODIFIED, b""
    await send(start)
    await send({"type": "http.response.body", "body": content})
