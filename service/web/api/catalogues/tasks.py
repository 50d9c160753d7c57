"""Routes: lm-eval's tasks are listed and shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from evaluators.benchmark import Benchmark
from evaluators.task_facts import TaskDescription, TaskKind, TaskList
from service.reports.listings.task_views import TaskDetail, TaskPage, task_detail, task_page
from service.web.api.catalogues.methods import allowed_model
from service.web.api.pages import PageQuery, cut_to
from service.web.api.problems import responses
from service.web.dependencies import ServicesHere
from workers.protocol.task_orders import TaskInquiry, TaskSearch

router = APIRouter(prefix="/tasks", tags=["tasks"])


class TaskQuery(PageQuery):
    """Which tasks are wanted."""

    search: Annotated[
        str, Field(max_length=200, description="A part of the name or of the data set's; or with `*`, `?`.")
    ] = ""
    kind: Annotated[TaskKind | None, Field(description="Leaves out the others.")] = None


@router.get(
    "",
    operation_id="listTasks",
    summary="List lm-eval's tasks, groups and tags",
    response_model=TaskPage,
    responses=responses(422),
)
def list_tasks(page: Annotated[TaskQuery, Query()], services: ServicesHere) -> TaskPage:
    """Gives the tasks whose name, or whose data set's, holds a text; the name itself first."""
    start = page.number(default=0)
    wanted = TaskSearch(page.search, page.kind, after=start, most=page.size + 1)
    found = services.workforce.run_job(wanted)
    assert isinstance(found, TaskList)  # noqa: S101 - what such a question is answered with
    shown, token = cut_to(found.entries, page.size, lambda _: start + page.size)
    return task_page(replace(found, entries=tuple(shown)), next_page_token=token)


@router.get(
    "/{name}",
    operation_id="getTask",
    summary="Get all about a task, with an example",
    response_model=TaskDetail,
    responses=responses(404, 422),
)
def get_task(
    name: Annotated[str, Path(max_length=200)],
    services: ServicesHere,
    model: Annotated[
        str | None, Query(max_length=1000, description="Show the prompt as this model sees it.")
    ] = None,
) -> TaskDetail:
    """Gives data, sizes, metrics, and an item as a model will see it; fetches data that are not there."""
    asked = None if model is None else allowed_model(model, services, pointer="/query/model")
    found = services.workforce.run_job(TaskInquiry(Benchmark(name=name, task=name), asked))
    assert isinstance(found, TaskDescription)  # noqa: S101 - what such a question is answered with
    return task_detail(found)
