"""`evomerge watch`: an experiment's progress, live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from service.cli.connection import JsonOption, NameArgument, Place, finds_experiments
from service.cli.exits import Exit
from service.cli.reaching import reach
from service.cli.terminal.notebook_display import NotebookDisplay, in_notebook
from service.cli.terminal.output import CommandError, clean, note, note_console, say_json
from service.cli.terminal.still import still
from service.cli.terminal.units import duration, number
from service.client.client import Client
from service.experiment.status import ENDED, ExperimentStatus
from service.reports.views import ExperimentView

LINE_SECONDS = 5.0  # between two lines where there is no terminal
REFRESH_SECONDS = 0.5  # between two questions about the progress


class Display(Protocol):
    """Shows an experiment's progress."""

    def show(self, view: ExperimentView) -> None:
        """Shows where it stands now."""
        ...


@dataclass(slots=True)
class BarDisplay:
    """A progress bar that is redrawn in place."""

    progress: Progress

    def show(self, view: ExperimentView) -> None:
        """Redraws the bar."""
        if not self.progress.tasks:
            self.progress.add_task("", facts="")
        self.progress.update(
            self.progress.tasks[0].id,
            description=clean(view.name),
            completed=view.progress.settled,
            total=view.progress.total,
            facts=facts_line(view),
        )


@dataclass(slots=True)
class LineDisplay:
    """A plain line every few seconds, and whenever the status changes."""

    last: float = 0.0
    status: ExperimentStatus | None = None

    def show(self, view: ExperimentView) -> None:
        """Writes a line, if it is time for one."""
        now = time.monotonic()
        if view.status is self.status and now - self.last < LINE_SECONDS:
            return
        self.last, self.status = now, view.status
        progress = view.progress
        note(f"{view.name}: {progress.settled}/{progress.total} candidates, {facts_line(view)}")


def facts_line(view: ExperimentView) -> str:
    """Returns rate, time left, best score beside the best baseline's, and hypervolume."""
    progress = view.progress
    parts = [progress.examination.words if progress.examination else view.status.words]
    if progress.rate is not None and not progress.examination:
        parts.append(f"{progress.rate:.2f}/s")
    if progress.eta_seconds is not None and not progress.examination:
        parts.append(f"{duration(progress.eta_seconds)} left")
    if progress.best is not None:
        parts.append(f"best {number(progress.best)} (baselines {number(progress.best_baseline)})")
    if progress.hypervolume:
        parts.append(f"hypervolume {number(progress.hypervolume[-1].hypervolume)}")
    return ", ".join(parts)


@contextmanager
def open_display() -> Iterator[Display]:
    """Opens a bar on a terminal, a line that changes in a notebook, and lines elsewhere."""
    if in_notebook():
        yield NotebookDisplay(facts_line)
        return
    console = note_console()
    if not console.is_terminal:
        yield LineDisplay()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield BarDisplay(progress)


def _nothing(view: ExperimentView) -> None:
    """Does nothing with a view."""


def follow(client: Client, name: str, also: Callable[[ExperimentView], None] = _nothing) -> ExperimentView:
    """Shows an experiment's progress until it has ended; returns it as it is then.

    Args:
        client: Of the service that has it.
        name: Its name or id.
        also: Called with every view that is shown.
    """
    view: ExperimentView = client.experiment(name)
    with open_display() as display, ExitStack() as getting_ready:
        display.show(view)
        also(view)
        if isinstance(display, LineDisplay) and not view.progress.settled and view.status not in ENDED:
            getting_ready.enter_context(still(f"getting {view.name}'s workers ready: they load its models"))
        asked = time.monotonic()
        for event in client.follow(view.id):
            if event.kind != "experiment.status" and time.monotonic() - asked < REFRESH_SECONDS:
                continue
            view, asked = client.experiment(view.id), time.monotonic()
            display.show(view)
            also(view)
            if view.progress.settled or view.status in ENDED:
                getting_ready.close()
            if view.status in ENDED:
                break
        view = client.experiment(view.id)
        display.show(view)
        also(view)
    return view


def conclude(view: ExperimentView) -> Exit:
    """Says how an experiment ended; returns the code that the command ends with."""
    if view.status is ExperimentStatus.FAILED:
        failure = view.failure
        why = f": {failure.cause}" if failure else f" ({view.reason})" if view.reason else ""
        note(f"{view.name} failed{why}")
        note(f"       {failure.remedy if failure else 'mend the cause'}; then `evomerge resume {view.name}`")
        return Exit.FAILED
    if view.status is ExperimentStatus.CANCELLED:
        note(f"{view.name} was cancelled")
        return Exit.FAILED
    if "export" not in view.may:
        note(f"{view.name} finished, but no candidate could be scored")
        return Exit.NOTHING_FEASIBLE
    if view.winner is not None:
        said = f": {view.winner.unbeaten}" if view.winner.unbeaten else ""
        note(clean(f"{view.name} finished; the winner is candidate {view.winner.number}{said}"))
    else:
        note(f"{view.name} finished")
    return Exit.OK


@finds_experiments
def watch(name: NameArgument, place: Place, as_json: JsonOption = False) -> int:
    """Watch an experiment's progress until it has ended.

    Ctrl-C stops watching; the experiment goes on. --json writes how it ended.
    """
    with reach(place) as (client, own):
        if own:
            return _as_it_stands(client.experiment(name), as_json=as_json)
        try:
            view = follow(client, name)
        except KeyboardInterrupt:
            note(f"\nNo longer watching; {name} goes on. Look again with `evomerge watch {name}`.")
            return Exit.INTERRUPTED
        if as_json:
            say_json(view)
        return conclude(view)


def _as_it_stands(view: ExperimentView, *, as_json: bool) -> int:
    """Shows an experiment that no service runs: it does not change while it is watched."""
    LineDisplay().show(view)
    if as_json:
        say_json(view)
    if view.status in ENDED:
        return conclude(view)
    hint = "`evomerge serve`, or `evomerge run` with its file, has it go on"
    raise CommandError(f"no service is running, so {view.name} stands still", hint, code=Exit.UNREACHABLE)
