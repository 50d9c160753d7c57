"""Reads request bodies strictly: small, JSON, and meaning the same to every reader."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web.problems import Problem, problem_response

MOST_BYTES = 256 * 1024
MOST_DEPTH = 32
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class BodyError(ValueError):
    """A body that is not taken."""

    def __init__(self, status: int, code: str, detail: str, remedy: str = "") -> None:
        super().__init__(detail)
        self.problem = Problem(status, code, detail, remedy)


class StrictBodies:
    """Refuses bodies that are large, not JSON, or JSON that readers understand differently.

    The framework's own reader takes NaN, duplicate keys (the last one wins), lone surrogates (which
    no database can store) and bodies of any size.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body whole, checks it and hands it on."""
        if scope["type"] != "http" or scope["method"] not in WITH_BODY:
            await self.app(scope, receive, send)
            return
        try:
            body = await _read(Headers(scope=scope), receive)
            if body:
                _check_type(Headers(scope=scope))
                parse(body)
        except BodyError as error:
            await problem_response(scope, error.problem)(scope, receive, send)
            return
        handed_on = False

        async def receive_again() -> Message:
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive_again, send)


async def _read(headers: Headers, receive: Receive) -> bytes:
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:20]) > MOST_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if sum(map(len, chunks)) > MOST_BYTES:
            raise _too_large()
        if not message.get("more_body"):
            return b"".join(chunks)


def _too_large() -> BodyError:
    remedy = "a specification this large is probably a mistake; tasks and data belong into files"
    return BodyError(413, "body_too_large", f"the body is larger than {MOST_BYTES} bytes", remedy)


def _check_type(headers: Headers) -> None:
    if headers.get("content-encoding", "identity") != "identity":
        raise BodyError(415, "unsupported_encoding", "compressed bodies are not read", "send it as it is")
    kind, _, parameters = headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        raise BodyError(
            415, "unsupported_media_type", f"the body is {kind or 'untyped'!r}", "send application/json"
        )
    charset = parameters.lower().replace(" ", "").replace('"', "").partition("charset=")[2]
    if charset not in ("", "utf-8", "utf8"):
        raise BodyError(415, "unsupported_charset", f"the body is in {charset[:40]!r}", "send it in UTF-8")


def parse(body: bytes) -> object:
    """Returns what a body says.

    Raises:
        BodyError: It is no JSON, or JSON that not every reader understands alike.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(400, "invalid_json", f"the body is not UTF-8: {error.reason}") from error
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_not_finite, parse_float=_finite)
    except BodyError:
        raise
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # JSONDecodeError, and integers of thousands of digits
        raise BodyError(400, "invalid_json", f"the body is no JSON: {error}"[:500]) from error
    _check(value, depth=0)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            shown = name.encode("ascii", "backslashreplace").decode()[:100]
            raise BodyError(400, "duplicate_key", f"the key {shown!r} stands twice in one object")
        found[name] = value
    return found


def _not_finite(name: str) -> NoReturn:
    raise BodyError(
        400, "not_finite", f"{name} is no number that JSON knows", "leave it out or write a number"
    )


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _not_finite(text[:40])
    return value


def _check(value: object, *, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise _too_deep()
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for part in value:
            _check(part, depth=depth + 1)
    elif isinstance(value, dict):
        for name, part in value.items():
            _check_text(name)
            _check(part, depth=depth + 1)


def _check_text(text: str) -> None:
    try:
        text.encode()
        bad = "\x00" in text
    except UnicodeEncodeError:
        bad = True
    if bad:
        shown = text.encode("ascii", "backslashreplace").decode()[:100]
        detail = f"the text {shown!r} holds a NUL or half of a surrogate pair"
        raise BodyError(400, "bad_character", detail, "leave the character out")


def _too_deep() -> BodyError:
    return BodyError(400, "too_deep", f"the body nests more than {MOST_DEPTH} levels")
