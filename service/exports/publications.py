"""Asks a worker what the Hub's repository of an export holds: the token is in the workers' environment."""

from __future__ import annotations

from service.exports.targets import HUB
from workers.protocol.messages import Workforce
from workers.protocol.publications import Publication, PublicationInquiry


def publication_at(workforce: Workforce, target: str) -> Publication | None:
    """Returns what a target on the Hub holds; None for other targets.

    Raises:
        WorkerError: The Hub cannot be reached.
    """
    if not target.startswith(HUB):
        return None
    found = workforce.run_job(PublicationInquiry(target.removeprefix(HUB)))
    if not isinstance(found, Publication):
        raise TypeError(f"an inquiry about a repository was answered with {type(found).__name__}")
    return found
