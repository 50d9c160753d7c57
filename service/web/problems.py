"""Problem: the one shape of every error that leaves the service (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.types import Scope

from service.errors import InvalidSpecError, Mistake, ServiceError
from service.reports.views import MistakeView

MEDIA_TYPE = "application/problem+json"


class ProblemView(BaseModel):
    """Why a request failed, and what to do (RFC 9457, `application/problem+json`).

    Attributes:
        type: Names the kind of problem; equal codes have equal types.
        code: The same in one word, for programs.
        instance: The path that was asked for.
        request_id: Names the request in the service's log.
        hint: What to do.
        errors: Every mistake that was found, each with a JSON pointer into the body.
    """

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str
    hint: str = ""
    errors: list[MistakeView] = []


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, before anyone knows in which request."""

    status: int
    code: str
    detail: str
    remedy: str = ""
    mistakes: tuple[Mistake, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def unforeseen(cls) -> Self:
        """Returns the problem that stands for a defect of the service itself."""
        return cls(
            500,
            "internal_error",
            "the service failed unexpectedly; nothing was changed by this request",
            "look for the request id in the service's log, and report it",
        )

    @classmethod
    def of(cls, error: ServiceError) -> Self:
        """Returns the problem that an error of the service becomes."""
        mistakes: Sequence[Mistake] = error.mistakes if isinstance(error, InvalidSpecError) else ()
        headers = {"Retry-After": "5"} if error.status == HTTPStatus.TOO_MANY_REQUESTS else {}
        return cls(error.status, error.code, error.detail, error.remedy, tuple(mistakes), headers)


def problem_view(scope: Scope, problem: Problem) -> ProblemView:
    """Returns a problem as the caller of one request sees it."""
    return ProblemView(
        type=f"urn:evomerge:problem:{problem.code}",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        instance=scope.get("path", ""),
        request_id=scope.get("state", {}).get("request_id", ""),
        hint=problem.remedy,
        errors=[
            MistakeView(pointer=m.pointer, code=m.code, detail=m.detail, hint=m.remedy)
            for m in problem.mistakes
        ],
    )


def problem_response(scope: Scope, problem: Problem) -> Response:
    """Returns a problem as an HTTP response."""
    # ASCII alone: what the caller sent, and is quoted here, may hold characters that UTF-8 cannot.
    content = json.dumps(problem_view(scope, problem).model_dump(), ensure_ascii=True)
    return Response(content, problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE)
