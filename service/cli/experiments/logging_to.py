"""`--log-to`: which trackers an experiment is shown in as well, while a command watches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from service.cli.chosen_settings import settings_from
from service.cli.exits import Exit
from service.cli.terminal.output import CommandError, note
from service.client.client import Client
from service.trackers import Target, TrackerTargetError, read_targets, tracked

LogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log-to",
        metavar="TRACKER",
        help="Show it in tensorboard:FOLDER, mlflow[:URI] or wandb[:PROJECT] as well. May be repeated.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Trackers:
    """Where experiments are shown as well.

    Attributes:
        asked: What options name.
        usual: What EVOMERGE_TRACKERS names.
        home: Keeps how far each has been told.
    """

    asked: tuple[Target, ...]
    usual: tuple[Target, ...]
    home: Path

    @contextmanager
    def told(self, client: Client, key: str, *, own: bool) -> Iterator[None]:
        """Tells them of an experiment for the length of the block.

        A service that runs apart from the command (not `own`) tells its usual ones itself.
        """
        targets = dict.fromkeys((*self.asked, *(self.usual if own else ())))
        with tracked(client, key, list(targets), self.home, note):
            yield


def trackers_of(log_to: Sequence[str], home: Path | None) -> Trackers:
    """Returns the trackers that options and the environment name, checked before anything begins.

    Raises:
        CommandError: One cannot be used.
    """
    settings = settings_from(home=home)
    try:
        asked, usual = read_targets(log_to), read_targets((), settings.trackers)
    except TrackerTargetError as error:
        raise CommandError(error.message, error.hint, code=Exit.USAGE) from error
    return Trackers(tuple(asked), tuple(usual), settings.home)
