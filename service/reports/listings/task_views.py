"""What people see of tasks: the JSON of the API."""

from __future__ import annotations

from dataclasses import asdict

from evaluators import Split
from evaluators.task_facts import TaskDescription, TaskEntry, TaskKind, TaskList
from service.reports.views import Page, View


class TaskView(View):
    """A name of lm-eval's: a task, a group of tasks with a common score, or a tag.

    Attributes:
        tasks: How many tasks it stands for.
        output: What models do (`multiple_choice`, `generate_until` ...); "" for groups and tags.
        data: The data set and its part; "" for groups and tags.
    """

    name: str
    kind: TaskKind
    tasks: int
    output: str
    data: str


class TaskPage(Page):
    """Tasks: the name itself first, then by name.

    Attributes:
        total_size: How many there are on all pages.
    """

    items: list[TaskView]
    total_size: int


class ExampleView(View):
    """One item, as a model sees it.

    Attributes:
        continuations: What is compared or scored; empty where the model writes.
        answer: What the task takes for right.
        tokens: Of the prompt, where a model was named.
    """

    task: str
    prompt: str
    continuations: list[str]
    answer: str | None
    tokens: int | None


class TaskDetail(TaskView):
    """All about a task; of a collection without a common score, what it consists of.

    Attributes:
        splits: Names and sizes of the data set's splits.
        scored: The split that lm-eval scores.
        divided: How many items a search has in each of its splits.
        metrics: As `metric,filter`; the first is a search's, unless it names another.
        shots: Solved examples before a question.
        generation: Settings under which answers are written, as JSON; "" where none are.
        asked: How questions are put to the model that was named, in words.
    """

    members: list[str]
    collection: bool
    splits: dict[str, int]
    scored: str
    divided: dict[Split, int]
    metrics: list[str]
    higher_is_better: bool | None
    shots: int
    generation: str
    asked: str
    example: ExampleView | None
    warnings: list[str]


def task_page(found: TaskList, *, next_page_token: str | None) -> TaskPage:
    """Returns one page of tasks."""
    items = [task_view(entry) for entry in found.entries]
    return TaskPage(items=items, next_page_token=next_page_token, total_size=found.total)


def task_view(entry: TaskEntry) -> TaskView:
    """Returns a task in one line."""
    return TaskView(**asdict(entry))


def task_detail(found: TaskDescription) -> TaskDetail:
    """Returns all about a task."""
    given = asdict(found)
    entry, pairs = given.pop("entry"), {name: dict(given.pop(name)) for name in ("splits", "divided")}
    return TaskDetail.model_validate(entry | given | pairs)
