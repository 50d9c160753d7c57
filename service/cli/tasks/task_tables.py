"""Tasks on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from evaluators.task_facts import Fetched, TaskDescription, TaskEntry, TaskExample
from service.cli.terminal.output import clean, data_console
from service.cli.terminal.tables import plain_table

_MOST_MEMBERS = 40  # names in a table
_UNITS = ("B", "kB", "MB", "GB", "TB")


def show_entries(entries: Sequence[TaskEntry]) -> None:
    """Writes one row per task, group or tag."""
    if not entries:
        return
    table = plain_table("NAME", "KIND", "TASKS", "ANSWERS", "DATA")
    for entry in entries:
        table.add_row(
            *map(clean, (entry.name, entry.kind, str(entry.tasks), _answers(entry), entry.data or "–"))
        )
    data_console().print(table)


def show_description(found: TaskDescription) -> None:
    """Writes all about a task."""
    console = data_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in _rows(found):
        table.add_row(name, clean(text))
    console.print(table)
    if found.example is not None:
        for title, text in _parts(found.example):
            console.print(f"\n{title}:", style="bold")
            console.print(clean(text), soft_wrap=True)


def show_fetched(found: Fetched) -> None:
    """Writes one row per data set, and where they lie."""
    table = plain_table("DATA", "ITEMS", "SIZE", "TASKS")
    for each in found.data:
        tasks = each.tasks[0] if len(each.tasks) == 1 else f"{each.tasks[0]} and {len(each.tasks) - 1} more"
        table.add_row(clean(each.data), str(each.items), size_text(each.size), clean(tasks))
    console = data_console()
    console.print(table)
    total = size_text(sum(each.size for each in found.data))
    console.print(f"\n{total} in {clean(found.folder)}", soft_wrap=True)


def size_text(size: float) -> str:
    """Returns bytes in a unit that fits."""
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def _rows(found: TaskDescription) -> Iterator[tuple[str, str]]:
    entry = found.entry
    yield "name", entry.name
    yield "kind", entry.kind + (f" of {entry.tasks} tasks" if entry.kind != "task" else "")
    if found.members:
        more = len(found.members) - _MOST_MEMBERS
        yield "members", ", ".join(found.members[:_MOST_MEMBERS]) + (f" and {more} more" if more > 0 else "")
    if found.collection:
        yield "score", "none in common: a search needs an objective for each of its tasks"
        return
    if entry.kind == "task":
        yield "data", entry.data
        yield "answers", _answers(entry)
    yield "data's splits", ", ".join(f"{name} {size}" for name, size in found.splits)
    if found.scored:
        yield "lm-eval scores", found.scored
    yield "a search has", ", ".join(f"{split} {size}" for split, size in found.divided)
    yield "metrics", ", ".join(found.metrics)
    yield "better", "higher" if found.higher_is_better else "lower"
    yield "examples", str(found.shots)
    if found.generation:
        yield "generation", found.generation
    if found.asked:
        yield "asked as", found.asked
    for warning in found.warnings:
        yield "note", warning


def _parts(example: TaskExample) -> Iterator[tuple[str, str]]:
    size = "" if example.tokens is None else f" ({example.tokens} tokens)"
    if example.prompt or not example.continuations:
        yield f"Prompt of an item of {clean(example.task)}{size}", example.prompt
    if example.continuations:
        alone = len(example.continuations) == 1
        title = "Text that is scored" if alone else "Continuations that are compared"
        shown = (text if alone else repr(text) for text in dict.fromkeys(example.continuations))
        yield title, "\n".join(shown)
    if example.answer is not None:
        yield "Right", example.answer


def _answers(entry: TaskEntry) -> str:
    return entry.output.replace("_", " ") or "–"
