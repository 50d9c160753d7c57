"""Gatekeeper: what every request passes before any route sees it, the dashboard's included.

On a loopback address the realistic attacker is a web page in the user's own browser: it may send
requests to 127.0.0.1, and by rebinding its own name to 127.0.0.1 it may read the answers.  So the
names under which the service may be addressed are a closed list, and requests that change
something must not come from a foreign page.  Where other machines can reach the service, a key is
asked for on top.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from time import perf_counter
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import Settings
from service.store.access.audit import note
from service.store.database import DATABASE_AWAY, Database
from service.store.models import AuditRow
from service.tracing import span
from service.web.access.guesses import MOST_GUESSES, Guesses
from service.web.access.keyring import LOCAL, Caller, Keyring
from service.web.access.present import CALLER
from service.web.access.roles import SAFE_METHODS, Access, access_to, allows
from service.web.metrics import RequestMetrics
from service.web.problems import Problem, problem_response

logger = structlog.get_logger(__name__)

LONGEST_PATH = 2000  # characters that the audit log keeps
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

# Plotly sets style attributes on the elements it draws, hence 'unsafe-inline' for styles alone.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gatekeeper:
    """Lets in what may come in, numbers and logs each request, and adds the security headers."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        database: Callable[[], Database],
        metrics: RequestMetrics,
    ) -> None:
        self.app = app
        self.hosts = LOOPBACK_NAMES | {host_name(h) for h in (settings.host, *settings.allowed_hosts)}
        key = settings.api_key
        self._database, self._metrics = database, metrics
        self._keyring = Keyring(key.get_secret_value() if key is not None else None, database)
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; an unexpected failure becomes a problem, never a traceback."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, started = uuid4().hex, perf_counter()
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, request_id)
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            problem = await self.objection(scope)
            if problem is not None:
                await problem_response(scope, problem)(scope, receive, send_guarded)
            else:
                with span("request", method=scope["method"], path=scope["path"], request_id=request_id):
                    await self.app(scope, receive, send_guarded)
        except Exception:
            logger.exception("request_failed", method=scope["method"], path=scope["path"])
            if not status:
                await problem_response(scope, Problem.unforeseen())(scope, receive, send_guarded)
        await self._note(scope, status)
        seconds = round(perf_counter() - started, 4)
        self._metrics.note(scope["method"], status, seconds)
        logger.debug("request", method=scope["method"], path=scope["path"], status=status, seconds=seconds)

    async def objection(self, scope: Scope) -> Problem | None:
        """Returns why a request is turned away, or None."""
        headers = Headers(scope=scope)
        problem = self._wrong_host(headers) or self._foreign_page(scope["method"], headers)
        if problem is None:
            problem = await self._without_right(scope, headers)
        return problem or _bad_characters(scope)

    def _wrong_host(self, headers: Headers) -> Problem | None:
        host = host_name(headers.get("host", ""))
        if host in self.hosts:
            return None
        return Problem(
            421,
            "unknown_host",
            f"this service does not go by the name {host[:200]!r}",
            f"use one of {', '.join(sorted(self.hosts))}, or add the name to EVOMERGE_ALLOWED_HOSTS",
        )

    def _foreign_page(self, method: str, headers: Headers) -> Problem | None:
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
        if not foreign and headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
            return None
        return Problem(
            403,
            "foreign_origin",
            f"a page of {(origin or 'another site')[:200]!r} may not change anything here",
            "send the request from the dashboard, the command line or a program",
        )

    async def _without_right(self, scope: Scope, headers: Headers) -> Problem | None:
        """Returns why the request's key does not open what is asked for, or None; notes whose it is."""
        access = access_to(scope["method"], scope["path"])
        if access is Access.NOTHING:
            return None
        address = _address(scope)
        given = _given_key(headers.get("authorization", ""))
        caller = self._keyring.at_once(given)
        if caller is not LOCAL and given and (wait := self._guesses.wait(address)):
            return _too_many_guesses(address, wait)  # not even the right one: else guessing goes on
        try:
            caller = caller or await run_in_threadpool(self._keyring.look_up, given)
        except DATABASE_AWAY:
            return _no_database()
        if caller is None and self._keyring.is_open:
            caller = LOCAL
        if caller is None:
            if given:  # browsers ask without one first
                self._guesses.note(address)
            return _unauthorized()
        scope["state"]["caller"] = caller
        scope["state"]["key_holds"] = partial(self._still_opens, given)
        CALLER.set(caller)
        return None if allows(caller.role, access) else _forbidden(caller, access)

    def _still_opens(self, given: bytes) -> bool:
        """Says whether a request that was let in would be let in now.  Blocks."""
        return self._keyring.is_open or self._keyring.holds(given)

    async def _note(self, scope: Scope, status: int) -> None:
        """Adds a request that may have changed something to the audit log."""
        caller = scope["state"].get("caller")
        if caller is None or scope["method"] in SAFE_METHODS:
            return
        row = AuditRow(
            key=caller.name,
            role=caller.role,
            method=scope["method"],
            path=scope["path"][:LONGEST_PATH],
            status=status,
            address=_address(scope)[:100],
            request_id=scope["state"]["request_id"],
        )
        try:
            await run_in_threadpool(self._write, row)
        except SQLAlchemyError as error:  # it has been answered already
            logger.error("audit_not_written", path=row.path, status=status, cause=type(error).__name__)

    def _write(self, row: AuditRow) -> None:
        with self._database().session() as session:
            note(session, row)


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _unauthorized() -> Problem:
    return Problem(
        401,
        "unauthorized",
        "this service asks for a key, and the request has none, or one that opens nothing (any more)",
        "set EVOMERGE_API_KEY, send `Authorization: Bearer KEY`, or give the key as the password",
        headers={"WWW-Authenticate": 'Basic realm="evomerge", charset="UTF-8"'},
    )


def _forbidden(caller: Caller, access: Access) -> Problem:
    return Problem(
        403,
        "forbidden",
        f"the key {caller.name} is a {caller.role}'s, and may not {access} here",
        "use a key of another role; an admin makes one with `evomerge key create`",
    )


def _no_database() -> Problem:
    return Problem(
        503,
        "database_unavailable",
        "the database, which knows the keys, does not answer",
        "try again in a moment",
        headers={"Retry-After": "2"},
    )


def _too_many_guesses(client: str, wait: int) -> Problem:
    return Problem(
        429,
        "too_many_requests",
        f"{MOST_GUESSES} wrong keys came from {client} within a minute",
        f"wait {wait} seconds, then send the right one",
        headers={"Retry-After": str(wait)},
    )


def _add_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


def _given_key(authorization: str) -> bytes:
    """Returns the key in an Authorization header, empty where there is none.

    Browsers can only ask for a name and a password, so the password counts as well.
    """
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip().encode("latin-1", "replace")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _bad_characters(scope: Scope) -> Problem | None:
    """Databases cannot hold NUL, and no name here does."""
    if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
        return Problem(400, "bad_character", "the address holds a NUL character", "leave it out")
    return None


def host_name(host: str) -> str:
    """Returns a Host header's name without its port, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if _is_address(host) else host.partition(":")[0]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
