"""Client: the service's REST interface as Python methods that return the service's own views."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, ValidationError

from evaluators import Split
from evaluators.task_facts import TaskKind
from service.client.addresses import DEFAULT_URL, experiment_at, usual_url
from service.client.data_frames import data_frame
from service.client.errors import ApiError, ClientError, ServerUnreachableError, SlowAnswerError
from service.client.event_stream import events_in
from service.experiment.candidate import CandidateStatus
from service.experiment.spec import ExperimentSpec
from service.reports.key_views import AuditPage, KeysView, KeyView, NewKeyView
from service.reports.search_views import ArchiveView, LineageView
from service.reports.task_views import TaskDetail, TaskPage
from service.reports.views import (
    CandidateDetail,
    CandidatePage,
    CandidateView,
    EventPage,
    EventView,
    ExperimentDetail,
    ExperimentPage,
    ExperimentView,
    ExportPage,
    ExportPreview,
    ExportView,
    FrontView,
    ValidationView,
)
from service.settings import is_loopback
from service.specification.reading import not_json

if TYPE_CHECKING:
    import pandas as pd

CONNECT_SECONDS = 5.0
# A check may import libraries, build tasks and fetch their data sets: it takes as long as it takes.
UNHURRIED = httpx.Timeout(None, connect=CONNECT_SECONDS)
HEARTBEAT = 15.0  # seconds after which the service says something on a silent stream
PATIENCE = 30.0  # seconds of failing to reconnect before a stream is given up

V = TypeVar("V", bound=BaseModel)

__all__ = ["DEFAULT_URL", "ApiError", "Client", "ClientError", "ServerUnreachableError", "SlowAnswerError"]


class Client:
    """Speaks to one service.

    Every method raises `ApiError` where the service refuses, `ServerUnreachableError` where
    no service answers, and `SlowAnswerError` where one is there but takes too long.
    """

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

    def version(self) -> dict[str, str]:
        """Returns the service's name and version."""
        return dict(self._ask("GET", "/version").json())

    def validate(self, spec: Mapping[str, Any] | ExperimentSpec) -> ValidationView:
        """Checks a spec without storing anything; finds all mistakes at once."""
        path = "/api/v1/experiments/validate"
        return self._view(ValidationView, "POST", path, json=_body(spec), timeout=UNHURRIED)

    def create(
        self, spec: Mapping[str, Any] | ExperimentSpec, *, idempotency_key: str | None = None
    ) -> ExperimentDetail:
        """Submits an experiment; sending it twice by accident creates one."""
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        path = "/api/v1/experiments"
        return self._view(
            ExperimentDetail, "POST", path, json=_body(spec), headers=headers, timeout=UNHURRIED
        )

    def experiments(self, *, page_size: int = 50, page_token: str | None = None) -> ExperimentPage:
        """Returns experiments, newest first."""
        return self._view(ExperimentPage, "GET", "/api/v1/experiments", params=_page(page_size, page_token))

    def experiment(self, key: str | UUID) -> ExperimentDetail:
        """Returns one experiment, by name or id."""
        return self._view(ExperimentDetail, "GET", experiment_at(key))

    def create_key(self, name: str, role: str = "viewer", *, days: float | None = None) -> NewKeyView:
        """Makes a key for the service, which cannot be shown again; none of `days` never expires."""
        body = {"name": name, "role": role} | ({"days": days} if days is not None else {})
        return self._view(NewKeyView, "POST", "/api/v1/keys", json=body)

    def keys(self) -> KeysView:
        """Returns all keys, without what opens anything."""
        return self._view(KeysView, "GET", "/api/v1/keys")

    def revoke_key(self, name: str) -> KeyView:
        """Has a key open nothing any more."""
        return self._view(KeyView, "DELETE", f"/api/v1/keys/{quote(name, safe='')}")

    def audit(self, *, page_size: int = 50, page_token: str | None = None) -> AuditPage:
        """Returns what was changed, by whose key, the newest first."""
        return self._view(AuditPage, "GET", "/api/v1/audit", params=_page(page_size, page_token))

    def describe(
        self,
        key: str | UUID,
        *,
        name: str | None = None,
        notes: str | None = None,
        tags: Sequence[str] | None = None,
        starred: bool | None = None,
    ) -> ExperimentView:
        """Changes an experiment's name, notes, tags or star; what is None stays."""
        wanted = {
            "name": name,
            "notes": notes,
            "tags": None if tags is None else list(tags),
            "starred": starred,
        }
        body = {member: value for member, value in wanted.items() if value is not None}
        return self._view(ExperimentView, "PATCH", experiment_at(key), json=body)

    def clone(self, key: str | UUID, name: str, changes: Mapping[str, Any] | None = None) -> ExperimentDetail:
        """Submits an experiment after another one.

        Args:
            key: The old one's name or id.
            name: The new one's.
            changes: Of the spec, as a JSON merge patch: `{"budget": {"candidates": 500}}`.
        """
        body = {"name": name, "changes": dict(changes or {})}
        headers = {"Idempotency-Key": uuid4().hex}
        path = f"{experiment_at(key)}/clone"
        return self._view(ExperimentDetail, "POST", path, json=body, headers=headers, timeout=UNHURRIED)

    def pause(self, key: str | UUID) -> ExperimentView:
        """Has an experiment stop proposing; candidates on a worker finish."""
        return self._view(ExperimentView, "POST", f"{experiment_at(key)}/pause")

    def resume(self, key: str | UUID) -> ExperimentView:
        """Has a paused or failed experiment go on where it stopped."""
        return self._view(ExperimentView, "POST", f"{experiment_at(key)}/resume")

    def cancel(self, key: str | UUID) -> ExperimentView:
        """Ends an experiment for good; what was scored stays."""
        return self._view(ExperimentView, "POST", f"{experiment_at(key)}/cancel")

    def delete(self, key: str | UUID) -> None:
        """Deletes an experiment that is not under way, with all that was found out; exports stay on disk."""
        self._ask("DELETE", experiment_at(key))

    def extend(self, key: str | UUID, **budget: float | None) -> ExperimentView:
        """Has an experiment that ended go on with a larger budget.

        Args:
            key: Its name or id.
            budget: Members of the spec's `budget` (`candidates`, `seconds` ...) with their new totals;
                None lifts a limit.
        """
        return self._view(ExperimentView, "POST", f"{experiment_at(key)}/extend", json=budget)

    def widen(self, key: str | UUID, name: str | None = None, **budget: float | None) -> ExperimentDetail:
        """Submits an experiment in wider bounds, which starts from all that an ended one knows.

        Args:
            key: The name or id of the one whose winner's weights lie at their upper bound.
            name: The new one's; by default the old one's with `-wider`.
            budget: As in `extend`; what is left out is as it was.
        """
        headers = {"Idempotency-Key": uuid4().hex}
        body = {"name": name, "budget": budget}
        path = f"{experiment_at(key)}/widen"
        return self._view(ExperimentDetail, "POST", path, json=body, headers=headers, timeout=UNHURRIED)

    def candidates(
        self,
        key: str | UUID,
        *,
        status: CandidateStatus | None = None,
        page_size: int = 1000,
        page_token: str | None = None,
    ) -> CandidatePage:
        """Returns candidates by number."""
        params = _page(page_size, page_token) | ({"status": status.value} if status else {})
        return self._view(CandidatePage, "GET", f"{experiment_at(key)}/candidates", params=params)

    def all_candidates(self, key: str | UUID) -> Iterator[CandidateView]:
        """Yields every candidate by number, a page at a time."""
        token: str | None = None
        while True:
            page = self.candidates(key, page_token=token)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    def candidates_csv(self, key: str | UUID) -> str:
        """Returns every candidate as CSV."""
        return self._ask("GET", f"{experiment_at(key)}/candidates", headers={"Accept": "text/csv"}).text

    def to_pandas(self, key: str | UUID) -> pd.DataFrame:
        """Returns every candidate, with its scores, costs and genes, as a data frame of pandas."""
        return data_frame(self.candidates_csv(key))

    def candidate(self, key: str | UUID, number: int) -> CandidateDetail:
        """Returns a candidate with its recipe and genome."""
        return self._view(CandidateDetail, "GET", f"{experiment_at(key)}/candidates/{number}")

    def recipe(self, key: str | UUID, number: int) -> str:
        """Returns a candidate's recipe as mergekit YAML."""
        return self._ask("GET", f"{experiment_at(key)}/candidates/{number}/recipe").text

    def lineage(self, key: str | UUID, number: int) -> LineageView:
        """Returns a candidate and all its ancestors."""
        return self._view(LineageView, "GET", f"{experiment_at(key)}/candidates/{number}/lineage")

    def archive(self, key: str | UUID) -> ArchiveView:
        """Returns the best candidate of every cell over the experiment's measures."""
        return self._view(ArchiveView, "GET", f"{experiment_at(key)}/archive")

    def front(self, key: str | UUID, split: Split = "search") -> FrontView:
        """Returns the front on one split, and what it is compared to."""
        return self._view(FrontView, "GET", f"{experiment_at(key)}/front", params={"split": split})

    def events(
        self, key: str | UUID, *, after: int = 0, page_size: int = 500, page_token: str | None = None
    ) -> EventPage:
        """Returns what happened so far, oldest first; all of it, or what happened after an event."""
        params = _page(page_size, page_token) | ({"after": str(after)} if after else {})
        return self._view(EventPage, "GET", f"{experiment_at(key)}/events", params=params)

    def follow(self, key: str | UUID, *, after: int = 0) -> Iterator[EventView]:
        """Yields what happens, as it happens, until the experiment has ended.

        A broken connection is taken up again after the last event that came.

        Raises:
            ServerUnreachableError: The service stayed away for half a minute.
        """
        failing_since: float | None = None
        while True:
            try:
                for event in self._stream(key, after):
                    if event is None:
                        return
                    after, failing_since = event.id, None
                    yield event
            except httpx.TransportError as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > PATIENCE:
                    raise ServerUnreachableError(self.url, _cause(error)) from error
            time.sleep(0.5)

    def _stream(self, key: str | UUID, after: int) -> Iterator[EventView | None]:
        """Yields the events of one connection; None at the end of the experiment."""
        with self._http.stream(
            "GET",
            f"{experiment_at(key)}/events/stream",
            headers={"Last-Event-ID": str(after), "Accept": "text/event-stream"},
            timeout=httpx.Timeout(CONNECT_SECONDS, read=3 * HEARTBEAT),
        ) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                raise ApiError.of(response)
            for name, data in events_in(response.iter_lines()):
                yield None if name == "stream.ended" else EventView.model_validate(json.loads(data))

    def export(
        self,
        key: str | UUID,
        candidate: int | str = "winner",
        *,
        target: str | None = None,
        private: bool = True,
        replace: bool = False,
        verify: bool = True,
        even_a_parent: bool = False,
        **options: Any,  # noqa: ANN401 - JSON
    ) -> ExportView:
        """Has a candidate written as a checkpoint: into a folder of the server's, or `hub:org/name`.

        Args:
            key: The experiment's name or id.
            candidate: A number, or `winner`.
            target: None takes the experiment's own folder.
            private: Whether a new repository is private.
            replace: An earlier export there, or a model that the repository holds, may be replaced.
            verify: Have transformers load it before it gets its name.
            even_a_parent: Copy even a candidate that is one of the parents as it is.
            options: `accept_licences`, `create_pr`, `dtype`, `shard_gigabytes`, `memory_limit`, `format`,
                `family`, as the API's `ExportRequest` describes them.

        Raises:
            ApiError: There is no such candidate, or it cannot be exported so.
        """
        body = {
            "candidate": candidate,
            "target": target,
            "private": private,
            "replace": replace,
            "verify": verify,
            "even_a_parent": even_a_parent,
            **options,
        }
        headers = {"Idempotency-Key": uuid4().hex}
        return self._view(ExportView, "POST", f"{experiment_at(key)}/exports", json=body, headers=headers)

    def preview_export(
        self,
        key: str | UUID,
        candidate: int | str = "winner",
        **options: Any,  # noqa: ANN401 - JSON
    ) -> ExportPreview:
        """Returns what the same `export` would write and change; nothing is written.

        Raises:
            ApiError: There is no such candidate, or it cannot be exported so.
        """
        body = {"candidate": candidate, **options}
        path = f"{experiment_at(key)}/exports/preview"
        return self._view(ExportPreview, "POST", path, json=body, timeout=UNHURRIED)

    def cancel_export(self, export: UUID | str) -> ExportView:
        """Gives an export up; one that is under way ends within seconds.

        Raises:
            ApiError: There is none, or it has ended.
        """
        return self._view(ExportView, "POST", f"/api/v1/exports/{export}/cancel")

    def exports(self, *, page_size: int = 50, page_token: str | None = None) -> ExportPage:
        """Returns exports, newest first."""
        return self._view(ExportPage, "GET", "/api/v1/exports", params=_page(page_size, page_token))

    def tasks(
        self,
        search: str = "",
        *,
        kind: TaskKind | None = None,
        page_size: int = 50,
        page_token: str | None = None,
    ) -> TaskPage:
        """Returns a page of lm-eval's tasks: those with a text in their name or their data set's."""
        wanted = {"search": search, "kind": kind, "page_size": page_size, "page_token": page_token}
        params = {name: value for name, value in wanted.items() if value is not None}
        return self._view(TaskPage, "GET", "/api/v1/tasks", params=params, timeout=UNHURRIED)

    def task(self, name: str, *, model: str | None = None) -> TaskDetail:
        """Returns all about a task, with an example; the prompt as `model` sees it, where one is named."""
        params = {} if model is None else {"model": model}
        return self._view(
            TaskDetail, "GET", f"/api/v1/tasks/{quote(name, safe='')}", params=params, timeout=UNHURRIED
        )

    def export_state(self, export: UUID) -> ExportView:
        """Returns how far an export is."""
        return self._view(ExportView, "GET", f"/api/v1/exports/{export}")

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
            raise ServerUnreachableError(self.url, _cause(error)) from error
        if response.is_error:
            raise ApiError.of(response)
        return response


def _body(spec: Mapping[str, Any] | ExperimentSpec) -> dict[str, Any]:
    """Returns a spec as a request's body.

    Raises:
        ApiError: It holds what no JSON can say (NaN, infinity, dates); what the service would answer.
    """
    if isinstance(spec, ExperimentSpec):
        return spec.model_dump(mode="json", exclude_unset=True)
    if mistakes := tuple(not_json(spec)):
        said = "; ".join(map(str, mistakes))
        raise ApiError(422, "invalid_spec", f"the experiment cannot be sent: {said}", mistakes=mistakes)
    return dict(spec)


def _page(page_size: int, page_token: str | None) -> dict[str, str]:
    return {"page_size": str(page_size)} | ({"page_token": page_token} if page_token else {})


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__
