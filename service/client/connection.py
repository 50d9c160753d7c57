"""Connection: one service, asked over HTTP; what the parts of the client share."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from service.client.addresses import usual_url
from service.client.errors import ApiError, ServerUnreachableError, SlowAnswerError
from service.settings import is_loopback

CONNECT_SECONDS = 5.0
# A check may import libraries, build tasks and fetch their data sets: it takes as long as it takes.
UNHURRIED = httpx.Timeout(None, connect=CONNECT_SECONDS)

V = TypeVar("V", bound=BaseModel)


class Connection:
    """Asks one service, and turns its answers into views and its refusals into errors."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = (url or usual_url()).rstrip("/")
        key = api_key or os.environ.get("EVOMERGE_API_KEY")
        try:
            host = httpx.URL(self.url).host
            self._http = httpx.Client(
                base_url=self.url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
                transport=transport,
                trust_env=not is_loopback(host),  # no proxy stands between this machine and itself
            )
        except httpx.InvalidURL as error:
            raise ServerUnreachableError(self.url, str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets the connections go."""
        self._http.close()

    def _view(self, kind: type[V], method: str, path: str, **options: Any) -> V:  # noqa: ANN401 - httpx's
        response = self._ask(method, path, **options)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise ApiError(
                response.status_code,
                "unexpected_answer",
                f"{response.url} answered what this version does not know: {error.errors()[0]['msg']}",
                hint="use one version of evomerge for the service and the client",
            ) from error

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        try:
            response = self._http.request(method, path, **options)
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise SlowAnswerError(self.url, self._http.timeout.read) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ServerUnreachableError(self.url, cause_of(error)) from error
        if response.is_error:
            raise ApiError.of(response)
        return response


def page_of(page_size: int, page_token: str | None) -> dict[str, str]:
    """Returns the parameters that name one page of a list."""
    return {"page_size": str(page_size)} | ({"page_token": page_token} if page_token else {})


def selection(filter_text: str | None, order_by: str | None) -> dict[str, str]:
    """Returns the parameters that say which rows are wanted, in which order."""
    wanted = {"filter": filter_text, "order_by": order_by}
    return {name: text for name, text in wanted.items() if text is not None}


def cause_of(error: Exception) -> str:
    """Returns what an error says, or its kind where it says nothing."""
    return str(error) or type(error).__name__
