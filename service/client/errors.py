"""Errors of the client.

* ClientError               a request that came to nothing
  * ServerUnreachableError  no service answers at the address
  * SlowAnswerError         one is there, and has not answered in time
  * ApiError                the service refused; holds its problem
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from service.errors import Mistake

if TYPE_CHECKING:
    import httpx  # slow to import, and only named here


class ClientError(Exception):
    """A request that came to nothing; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message, self.hint = message, hint


class ServerUnreachableError(ClientError):
    """No service answers at the address."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(
            f"no evomerge service answers at {url} ({cause})",
            "start one with `evomerge serve`, or name another with --server or EVOMERGE_URL",
        )
        self.url = url


class SlowAnswerError(ClientError):
    """A service is at the address, and has not answered in time."""

    def __init__(self, url: str, seconds: float | None) -> None:
        waited = "in time" if seconds is None else f"within {seconds:.0f} s"
        super().__init__(
            f"the service at {url} is there, but did not answer {waited}",
            "it is busy or still starting: try again in a moment; `evomerge doctor` looks at this machine",
        )
        self.url = url


class ApiError(ClientError):
    """The service refused a request.

    Attributes:
        status: The HTTP status.
        code: What kind of refusal, in one word.
        mistakes: Every mistake the service found in what was sent.
    """

    def __init__(
        self, status: int, code: str, message: str, *, hint: str = "", mistakes: tuple[Mistake, ...] = ()
    ) -> None:
        super().__init__(message, hint)
        self.status, self.code, self.mistakes = status, code, mistakes

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """Reads the problem that a response describes."""
        try:
            problem = response.json()
            mistakes = tuple(
                Mistake(m["pointer"], m["code"], m["detail"], m.get("hint", ""))
                for m in problem.get("errors", ())
            )
            return cls(
                response.status_code,
                problem["code"],
                problem["detail"],
                hint=problem.get("hint", ""),
                mistakes=mistakes,
            )
        except (ValueError, TypeError, KeyError, AttributeError):  # a proxy's own page, say
            return cls(
                response.status_code,
                "unexpected_answer",
                f"{response.url} answered {response.status_code}: {response.text[:200]}",
                hint="check that the address is an evomerge service's",
            )
