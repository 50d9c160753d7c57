"""What routes are given: the parts of the running service, and a transaction per request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from service.controller.runners import Runners
from service.exports.exporter import Exporters
from service.reports.score_columns import ColumnsCache
from service.settings import Settings
from service.store.database import Database
from service.store.repository import Repository
from workers.protocol.messages import Workforce

MOST_PROMPTS = 4  # that wait for an answer at once


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running service.

    Attributes:
        columns: Scores that pages and routes read again and again.
        stopping: Set when the service goes down, so that endless answers end.
        prompts: Places for people's prompts, which occupy a thread each until they are answered.
    """

    settings: Settings
    database: Database
    workforce: Workforce
    runner: Runners
    exporter: Exporters
    columns: ColumnsCache = field(default_factory=ColumnsCache)
    stopping: threading.Event = field(default_factory=threading.Event)
    prompts: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MOST_PROMPTS)
    )


def get_services(request: Request) -> Services:
    """Returns the parts of the service that the application was started with."""
    return cast("Services", request.app.state.services)


ServicesHere = Annotated[Services, Depends(get_services)]


def _reading(services: ServicesHere) -> Iterator[Repository]:
    with services.database.reading() as session:
        yield Repository(session)


def _writing(services: ServicesHere) -> Iterator[Repository]:
    with services.database.session() as session:
        yield Repository(session)


# "function": the transaction is committed before the answer is sent, never after.
Reading = Annotated[Repository, Depends(_reading, scope="function")]
Writing = Annotated[Repository, Depends(_writing, scope="function")]
