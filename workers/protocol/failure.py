"""Failure: why something came to nothing, in the one shape that rows, messages and pages share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from evaluators import EvaluationError
from search_spaces.errors import SpaceError
from workers.errors import WorkerError

LONGEST_CAUSE = 2000  # characters
LONGEST_EXCERPT = 4000

KnownError = WorkerError | EvaluationError | SpaceError


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something came to nothing, and what to do.

    Attributes:
        code: One word that programs can act on (`bad_score`, `worker_lost`, `timeout` ...).
        cause: What happened, in a sentence.
        remedy: What a person can do about it.
        retryable: Another attempt may succeed, because what was asked is not at fault.
        excerpt: The end of a traceback or log.
    """

    code: str
    cause: str
    remedy: str
    retryable: bool = False
    excerpt: str = ""

    @classmethod
    def of(cls, error: KnownError, excerpt: str = "") -> Self:
        """Returns the failure that one of the project's own errors describes."""
        cause = f"{error.field}: {error.detail}"[:LONGEST_CAUSE]
        return cls(error.code, cause, error.remedy, excerpt=excerpt[-LONGEST_EXCERPT:])

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Returns the failure that a row holds; members that it lacks are empty."""
        texts = {name: str(content.get(name, "")) for name in ("code", "cause", "remedy", "excerpt")}
        return cls(**texts, retryable=bool(content.get("retryable", False)))

    def as_json(self) -> dict[str, Any]:
        """Returns what is stored and sent; members that say nothing are left out."""
        always = {"code": self.code, "cause": self.cause, "remedy": self.remedy}
        told = {"excerpt": self.excerpt, "retryable": self.retryable}
        return always | {name: value for name, value in told.items() if value}
