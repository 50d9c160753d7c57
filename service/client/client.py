"""Client: the service's REST interface as Python methods that return the service's own views."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from evaluators.task_facts import TaskKind
from service.client.addresses import DEFAULT_URL, experiment_at
from service.client.candidate_calls import CandidateCalls
from service.client.connection import CONNECT_SECONDS, UNHURRIED, cause_of, page_of, selection
from service.client.errors import ApiError, ClientError, ServerUnreachableError, SlowAnswerError
from service.client.event_stream import events_in
from service.experiment.spec import ExperimentSpec
from service.reports.listings.key_views import AuditPage, KeysView, KeyView, MeView, NewKeyView
from service.reports.listings.method_views import MethodsView, ModelView
from service.reports.listings.task_views import TaskDetail, TaskPage
from service.reports.listings.worker_views import WorkersView
from service.reports.search_views import ImportancesView
from service.reports.views import (
    EventPage,
    EventView,
    ExperimentDetail,
    ExperimentPage,
    ExperimentView,
    ExportPage,
    ExportPreview,
    ExportView,
    ProgressView,
    ValidationView,
)
from service.specification.reading import not_json

HEARTBEAT = 15.0  # seconds after which the service says something on a silent stream
PATIENCE = 30.0  # seconds of failing to reconnect before a stream is given up

__all__ = ["DEFAULT_URL", "ApiError", "Client", "ClientError", "ServerUnreachableError", "SlowAnswerError"]


class Client(CandidateCalls):
    """Speaks to one service.

    Every method raises `ApiError` where the service refuses, `ServerUnreachableError` where
    no service answers, and `SlowAnswerError` where one is there but takes too long.
    """

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

    def experiments(
        self,
        *,
        filter: str | None = None,  # noqa: A002 - what the interface calls it
        order_by: str | None = None,
        deleted: bool = False,
        page_size: int = 50,
        page_token: str | None = None,
    ) -> ExperimentPage:
        """Returns experiments, newest first or in another order.

        Args:
            filter: As `status = running AND tags:"paper"`.
            order_by: As `name`, or `created_at desc`.
            deleted: Those as well that were deleted and can be brought back.
            page_size: How many at most.
            page_token: Of the page before.
        """
        params = page_of(page_size, page_token) | selection(filter, order_by)
        params |= {"show_deleted": "true"} if deleted else {}
        return self._view(ExperimentPage, "GET", "/api/v1/experiments", params=params)

    def experiment(self, key: str | UUID) -> ExperimentDetail:
        """Returns one experiment, by name or id."""
        return self._view(ExperimentDetail, "GET", experiment_at(key))

    def progress(self, key: str | UUID) -> ProgressView:
        """Returns how far an experiment is, with the course of best value and hypervolume."""
        return self._view(ProgressView, "GET", f"{experiment_at(key)}/progress")

    def importances(self, key: str | UUID) -> ImportancesView:
        """Returns how much each gene matters to each objective, beside what chance alone would give."""
        return self._view(ImportancesView, "GET", f"{experiment_at(key)}/importances")

    def config(self, key: str | UUID, form: Literal["short", "resolved"] = "short") -> str:
        """Returns an experiment's spec as YAML, without defaults or with every one."""
        return self._ask("GET", f"{experiment_at(key)}/config", params={"form": form}).text

    def create_key(self, name: str, role: str = "viewer", *, days: float | None = None) -> NewKeyView:
        """Makes a key for the service, which cannot be shown again; none of `days` never expires."""
        body = {"name": name, "role": role} | ({"days": days} if days is not None else {})
        return self._view(NewKeyView, "POST", "/api/v1/keys", json=body)

    def me(self) -> MeView:
        """Returns the name and role of the key that this client bears."""
        return self._view(MeView, "GET", "/api/v1/me")

    def keys(self) -> KeysView:
        """Returns all keys, without what opens anything."""
        return self._view(KeysView, "GET", "/api/v1/keys")

    def revoke_key(self, name: str) -> KeyView:
        """Has a key open nothing any more."""
        return self._view(KeyView, "DELETE", f"/api/v1/keys/{quote(name, safe='')}")

    def audit(self, *, page_size: int = 50, page_token: str | None = None) -> AuditPage:
        """Returns what was changed, by whose key, the newest first."""
        return self._view(AuditPage, "GET", "/api/v1/audit", params=page_of(page_size, page_token))

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

    def stop(self, key: str | UUID) -> ExperimentView:
        """Has a search end early: what it has asked for is scored, then its winner is examined."""
        return self._view(ExperimentView, "POST", f"{experiment_at(key)}/stop")

    def delete(self, key: str | UUID, *, force: bool = False, for_good: bool = False) -> ExperimentView:
        """Deletes an experiment with all that was found out; exports stay on disk.

        Args:
            key: Its name or id.
            force: Cancel it first where it is under way.
            for_good: Remove it at once; else `undelete` brings it back for 30 days.
        """
        params = {"force": str(force).lower(), "for_good": str(for_good).lower()}
        return self._view(ExperimentView, "DELETE", experiment_at(key), params=params)

    def undelete(self, key: str | UUID) -> ExperimentView:
        """Brings an experiment back that was deleted within the last 30 days."""
        return self._view(ExperimentView, "POST", f"{experiment_at(key)}/undelete")

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

    def events(
        self, key: str | UUID, *, after: int = 0, page_size: int = 500, page_token: str | None = None
    ) -> EventPage:
        """Returns what happened so far, oldest first; all of it, or what happened after an event."""
        params = page_of(page_size, page_token) | ({"after": str(after)} if after else {})
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
                    raise ServerUnreachableError(self.url, cause_of(error)) from error
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
        return self._view(ExportPage, "GET", "/api/v1/exports", params=page_of(page_size, page_token))

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

    def methods(self) -> MethodsView:
        """Returns all merge methods, with their parameters."""
        return self._view(MethodsView, "GET", "/api/v1/merge-methods")

    def inspect_model(self, model: str) -> ModelView:
        """Returns what a model is, by its config and headers alone."""
        params = {"ref": model}
        return self._view(ModelView, "GET", "/api/v1/models/inspect", params=params, timeout=UNHURRIED)

    def workers(self) -> WorkersView:
        """Returns who has which workers now, and who waits for some."""
        return self._view(WorkersView, "GET", "/api/v1/workers")

    def task(self, name: str, *, model: str | None = None) -> TaskDetail:
        """Returns all about a task, with an example; the prompt as `model` sees it, where one is named."""
        params = {} if model is None else {"model": model}
        return self._view(
            TaskDetail, "GET", f"/api/v1/tasks/{quote(name, safe='')}", params=params, timeout=UNHURRIED
        )

    def export_state(self, export: UUID) -> ExportView:
        """Returns how far an export is."""
        return self._view(ExportView, "GET", f"/api/v1/exports/{export}")


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
