"""Routes: what happened, as history and as it happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from service.reports.experiments import event_view
from service.reports.views import EventPage
from service.store.repository import Repository
from service.web.api.event_tail import EventTail
from service.web.api.pages import PageQuery, cut_to
from service.web.api.problems import responses
from service.web.dependencies import Reading, ServicesHere

router = APIRouter(prefix="/experiments/{key}/events", tags=["events"])

RETRY_MILLISECONDS = 2000
MOST_ID = 2**63 - 1


class EventQuery(PageQuery):
    """Which events are wanted."""

    after: Annotated[
        int, Field(ge=0, le=MOST_ID, description="Begin after this event, where there is no token.")
    ] = 0


EventsWanted = Annotated[EventQuery, Query()]


@router.get(
    "",
    operation_id="listEvents",
    summary="List what happened, oldest first",
    response_model=EventPage,
    responses=responses(404, 422),
)
def list_events(key: str, page: EventsWanted, repository: Reading) -> EventPage:
    """Gives the events of an experiment; go on with the token until there is none."""
    after = page.number(default=page.after)
    rows = repository.events(experiment_id=repository.experiment(key).id, after=after, limit=page.size + 1)
    shown, token = cut_to(rows, page.size, lambda row: row.id)
    return EventPage(items=[event_view(row) for row in shown], next_page_token=token)


def _experiment_id(key: str, services: ServicesHere) -> UUID:
    """Finds the experiment before the stream begins: once it has, there is no 404 to give."""
    with services.database.reading() as session:
        return Repository(session).experiment(key).id


LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^\d{0,18}$", description="Go on after this event."),
]


@router.get(
    "/stream",
    operation_id="streamEvents",
    summary="Stream what happens (server-sent events)",
    response_class=EventSourceResponse,
    responses=responses(404, 422),
)
async def stream_events(
    request: Request,
    experiment: Annotated[UUID, Depends(_experiment_id)],
    last_event_id: LastEventId = None,
    after: Annotated[int, Query(ge=0, le=MOST_ID, description="Go on after this event.")] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Sends every event as it happens, with its id, until the experiment has ended.

    The last message is `stream.ended`, without an id: a client that gets it need not reconnect.  Silent
    stretches hold a comment every 15 seconds.  Where the key is revoked or expires, the stream breaks off.
    """
    tail = cast("EventTail", request.app.state.tail)
    yield ServerSentEvent(comment="events", retry=RETRY_MILLISECONDS)
    begin = int(last_event_id) if last_event_id else after
    try:
        async for batch in tail.follow(experiment, after=begin, allowed=request.state.key_holds):
            for event in batch:
                data = json.dumps(event.model_dump(mode="json"))
                yield ServerSentEvent(raw_data=data, event=event.kind, id=str(event.id))
    except PermissionError:  # the key was revoked, or has expired: a client that reconnects is told so
        return
    if not tail.stopping.is_set():
        yield ServerSentEvent(raw_data="{}", event="stream.ended")
