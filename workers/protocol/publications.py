"""What a repository on the Hub says of the model that it holds: asked before another one is pushed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PublicationInquiry:
    """Asks what a repository holds."""

    repository: str


@dataclass(frozen=True, slots=True)
class Publication:
    """A model that evomerge published, as far as its repository says so.

    Attributes:
        scores: The content of its evomerge.json; None without one.
        recipe: Of its evomerge.lock.json, as JSON; None without one.
        tags: Of the repository.
    """

    repository: str
    scores: Mapping[str, Any] | None = None
    recipe: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()
