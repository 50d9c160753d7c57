"""Idempotency keys: a request that is sent twice is carried out once, and answered alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header
from fastapi.responses import JSONResponse

from service.errors import ServiceError
from service.store.repository import Repository

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A request that is sent again within a day with the same key and body changes nothing, "
        "and gets the first answer.",
    ),
]


class KeyReusedError(ServiceError):
    """An idempotency key that came with another body before."""

    status = 422
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key came with another body before", "use a new key for a new request"
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that may have been sent before.

    Attributes:
        key: The client's key with the operation it was sent to; None where it sent none.
        digest: Of the body.
    """

    key: str | None
    digest: str

    @classmethod
    def of(cls, operation: str, key: str | None, body: Any) -> Attempt:  # noqa: ANN401 - any JSON
        """Returns the attempt that a request makes."""
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()
        return cls(None if key is None else f"{operation}:{key}", digest)

    def earlier_answer(self, repository: Repository) -> JSONResponse | None:
        """Returns the answer that was given before, if one was.

        Raises:
            KeyReusedError: The key came with another body.
        """
        given = None if self.key is None else repository.answer_given(self.key)
        if given is None:
            return None
        if given.digest != self.digest:
            raise KeyReusedError
        return JSONResponse(
            given.body["body"],
            given.status,
            headers={**given.body["headers"], "Idempotency-Replayed": "true"},
        )

    def answer(
        self,
        repository: Repository,
        status: int,
        body: Any,  # noqa: ANN401 - any JSON
        *,
        location: str | None = None,
    ) -> JSONResponse:
        """Returns the answer, and remembers it in the transaction that carried the request out."""
        headers = {} if location is None else {"Location": location}
        if self.key is not None:
            stored = {"body": body, "headers": headers}
            repository.remember_answer(self.key, digest=self.digest, status=status, body=stored)
        return JSONResponse(body, status, headers=headers)
