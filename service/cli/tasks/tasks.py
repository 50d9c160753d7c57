"""`evomerge tasks`: which tasks there are, what they ask, and what they need without a network."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from evaluators.benchmark import Benchmark
from evaluators.chat import Chat
from evaluators.task_facts import TaskKind
from service.cli.connection import JsonOption
from service.cli.model_arguments import parent_named
from service.cli.tasks.named_tasks import TaskFolders, folders_named, spelt, tasks_named
from service.cli.tasks.task_tables import show_description, show_entries, show_fetched
from service.cli.terminal.output import note, say
from workers.pools.actor import describe_task_here, fetch_tasks_here, search_tasks_here
from workers.protocol.task_orders import TaskFetch, TaskInquiry, TaskSearch

MOST_SHOWN = 50  # rows on a terminal

tasks = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Say which tasks there are, show one, and fetch what tasks need without a network.",
)


@tasks.command("list", short_help="List tasks, groups and tags.")
def list_tasks(
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="[PATTERN]",
            help="A part of the name or of the data set's, or a name with `*` and `?`.",
            show_default=False,
        ),
    ] = "",
    kind: Annotated[TaskKind | None, typer.Option("--kind", help="Leave out the others.")] = None,
    folders: TaskFolders = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help="Most rows.", show_default=f"{MOST_SHOWN} on a terminal, all otherwise"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List tasks, groups of tasks and tags by name: lm-eval's own, and those in your folders first.

    The first time after lm-eval was installed its files are read, which takes some seconds.
    """
    most = limit or (MOST_SHOWN if sys.stdout.isatty() and not as_json else None)
    found = search_tasks_here(TaskSearch(pattern, kind, folders_named(folders), most=most))
    if as_json:
        say(json.dumps({"total": found.total, "tasks": [asdict(each) for each in found.entries]}, indent=2))
        return
    show_entries(found.entries)
    if len(found.entries) < found.total:
        hint = f"name a part, or show more with --limit {found.total}"
        note(f"{len(found.entries)} of {found.total}; {hint}")
    elif not found.total:
        note(f"there is no task with {pattern!r} in its name or its data set's")


@tasks.command(short_help="Show what a task asks, with an example.")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A task, group or tag, or a .jsonl file.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="MODEL", help="Show the prompt as this model sees it, its template applied."
        ),
    ] = None,
    chat: Annotated[
        Literal["auto", "on", "off"], typer.Option("--chat", help="Whether the template is applied.")
    ] = "auto",
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="A system message.")] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            *spelt("--num-fewshot"),
            min=0,
            help="Solved examples before the question.",
            show_default="the task's",
        ),
    ] = None,
    folders: TaskFolders = None,
    as_json: JsonOption = False,
) -> None:
    """Show a task's data, sizes and metrics, and one of its items as the model will see it.

    The item, the prompt and the three splits are those of a search over this task. Its data are fetched
    where they are not in the cache.
    """
    owner = None if model is None else parent_named(model)
    with tasks_named([name], folders) as named:
        benchmark = Benchmark(
            name=named.names[0],
            task=named.names[0],
            include_path=named.folders or None,
            num_fewshot=shots,
            chat=Chat(apply=chat, system=system),
        )
        found = describe_task_here(TaskInquiry(benchmark, owner))
    if as_json:
        say(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        show_description(found)


@tasks.command(short_help="Fetch what tasks need, to work without a network.")
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Tasks, groups or tags.")],
    folders: TaskFolders = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the data and metrics of tasks into the cache that all workers of this machine share.

    Afterwards they are asked without a network, at once where HF_HUB_OFFLINE=1 says that there is none.
    HF_HOME names the cache; for workers on several machines, let it lie where all reach it.
    """
    with tasks_named(names, folders) as named:
        found = fetch_tasks_here(TaskFetch(named.names, named.folders), note)
    if as_json:
        say(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    show_fetched(found)
    if Path(found.folder).exists() and os.environ.get("HF_HUB_OFFLINE") != "1":
        note("without a network, set HF_HUB_OFFLINE=1: then nothing waits for an answer")
