"""Patience with the Hub: what may pass by itself is tried again, with longer and longer waits and limits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of whichever library it uses
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
)

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_ASKED = 300.0  # seconds that a Retry-After may ask for: the Hub's limits are per five minutes
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried, and how long it is waited for.

    Attributes:
        tries: Of one call, the first included.
        first: Seconds before the second try; each wait is twice as long as the one before.
        longest: Seconds of one wait, where the Hub does not ask for another.
    """

    tries: int = 6
    first: float = 0.5
    longest: float = 30.0

    def call(self, action: Callable[[], T]) -> T:
        """Returns what an action returns; it is repeated while its errors may pass.

        Raises:
            Exception: The action's last error.
        """
        for tried in range(1, self.tries + 1):
            try:
                return action()
            except Exception as error:
                if tried == self.tries or not may_pass(error):
                    raise
                self.wait(error, tried)
        raise ValueError(f"tries is {self.tries}; give 1 or more")

    def wait(self, error: BaseException, tried: int) -> None:
        """Waits after the try of this number, as long as the Hub asks for where it does."""
        usual = min(self.first * 2 ** (tried - 1), self.longest) * random.uniform(0.8, 1.2)  # noqa: S311
        asked = retry_after(error)
        time.sleep(usual if asked is None else asked)


EXPORTING = Patience()
READING = Patience(tries=4)  # a parent's name may be mistyped, and then nothing helps


def may_pass(error: BaseException) -> bool:
    """Says whether an error may be gone at the next try: a busy Hub, a connection that was cut."""
    for cause in causes(error):
        if isinstance(cause, OfflineModeIsEnabled):
            return False
        if isinstance(cause, HfHubHTTPError):
            asked = retry_after(cause)
            return cause.response.status_code in PASSING and (asked is None or asked <= LONGEST_ASKED)
        if isinstance(cause, HTTPError | ConnectionError | TimeoutError):
            return True
    return False


def retry_after(error: BaseException) -> float | None:
    """Returns the seconds that the Hub asks to wait, None where it does not say."""
    for cause in causes(error):
        if not isinstance(cause, HfHubHTTPError):
            continue
        text = cause.response.headers.get("Retry-After")
        if text is None:
            return None
        try:
            return max(float(text), 0.0)
        except ValueError:
            return _until(text)
    return None


def causes(error: BaseException) -> list[BaseException]:
    """Returns an error and what it was raised from, outermost first: parallel uploads wrap theirs."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or following.__context__
    return found


def _until(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0) if moment.tzinfo else None
