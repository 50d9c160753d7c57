"""Reaches experiments: through a service that answers, or by opening the home where none does.

The order is: the service that is named, the home's own service, the one on this machine, the home.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NamedTuple

from service.background.duties import ALL_DUTIES, EXPORTS_ALONE, NO_DUTIES, Duty
from service.cli.chosen_settings import settings_from
from service.cli.connection import Place
from service.cli.exits import Exit
from service.cli.installation.announcement import announced_url
from service.cli.terminal.loudness import LOUDNESS
from service.cli.terminal.output import CommandError, detail, note
from service.cli.terminal.still import still
from service.client.client import Client
from service.client.errors import ApiError, ClientError
from service.settings import DEFAULT_PORT, Settings, url_of

SILENT_SECONDS = 3.0  # after which what accepts connections and says nothing is another program
STARTING_SECONDS = 180.0  # that a service of this home may take until it answers


class Need(Enum):
    """What a command needs a service for, where none answers."""

    LOOK = "look"  # nothing but the home's database
    CHECK = "check"  # a worker's libraries; the home may be a new one
    EXPORT = "export"
    RUN = "run"
    STAY = "stay"  # a service that goes on when the command ends


_DUTIES: Mapping[Need, frozenset[Duty]] = {
    Need.LOOK: NO_DUTIES,
    Need.CHECK: NO_DUTIES,
    Need.EXPORT: EXPORTS_ALONE,
    Need.RUN: ALL_DUTIES,
}


class NoExperimentsError(CommandError):
    """No service answers, and the home that could be opened holds nothing."""

    def __init__(self, home: Path, url: str) -> None:
        super().__init__(
            f"no evomerge service answers at {url}, and {home} holds no experiments",
            "begin with `evomerge run FILE.yml` or `evomerge serve`, or name the folder with --home",
            code=Exit.UNREACHABLE,
        )


class Reached(NamedTuple):
    """A client, and whether what answers it lives as long as the command alone."""

    client: Client
    own: bool


@contextmanager
def connect(place: Place) -> Iterator[Client]:
    """Yields a client for a command that looks, or that asks for something that others carry out."""
    with reach(place) as found:
        yield found.client


@contextmanager
def reach(
    place: Place, need: Need = Need.LOOK, *, workers: int | None = None, workforce: str | None = None
) -> Iterator[Reached]:
    """Yields a client of the service that the options name, or of one for the length of the block.

    Raises:
        ServerUnreachableError: The named service does not answer.
        CommandError: None answers, and none may be started or there is no home to open.
    """
    if place.named_url is not None:
        with Client(place.named_url, place.api_key) as client:
            client.version()
            detail(f"Asking the service at {place.named_url}.")
            yield Reached(client, own=False)
        return
    settings = settings_from(
        home=place.home, workers=workers, workforce=workforce, log_level=LOUDNESS.log_level_within
    )
    url = _running(settings, place)
    if url is not None:
        detail(f"Asking the service at {url}, which serves {settings.home.resolve()}.")
        with Client(url, place.api_key) as client:
            yield Reached(client, own=False)
        return
    detail(f"No service answers at {address(settings)}; opening {settings.home.resolve()}.")
    with _opened(settings, place, need) as client:
        yield Reached(client, own=True)


def _running(settings: Settings, place: Place) -> str | None:
    """Returns the address of a running service that the command is meant for; None where none runs."""
    announced = announced_url(settings.home)
    if announced is not None:
        with still(f"waiting for the service at {announced}, which is starting"):
            served = _home_at(announced, place.api_key, STARTING_SECONDS)
        if served is not None:
            return announced
    usual = address(settings)
    served = None if usual == announced else _home_at(usual, place.api_key, SILENT_SECONDS)
    if served is None or _same(served, settings.home):
        return None if served is None else usual
    if place.home is None and not settings.keeps_experiments:
        return usual
    note(f"The service at {usual} serves {served or 'another home'}, not {settings.home}.")
    if place.home is None:
        note(f"Taking {settings.home}; --server {usual} asks that service.")
    return None


def address(settings: Settings) -> str:
    """Returns where a service with these settings is expected; a port that it would choose is unknown."""
    return url_of(settings, settings.port or DEFAULT_PORT)


def _home_at(url: str, api_key: str | None, seconds: float) -> str | None:
    """Returns which home a service serves, empty where it does not say; None where no evomerge answers."""
    try:
        with Client(url, api_key, timeout=seconds) as client:
            said = client.version()
    except ApiError as error:
        # A key is missing: that is an evomerge to be told about.  Anything else is another program.
        return "" if error.code == "unauthorized" else None
    except (ClientError, ValueError, AttributeError, TypeError):
        return None
    return said.get("home", "") if said.get("name") == "evomerge" else None


def _same(served: str, home: Path) -> bool:
    """Says whether a service serves a home; one that does not say is taken at its address."""
    return not served or Path(served) == home.resolve()


@contextmanager
def _opened(settings: Settings, place: Place, need: Need) -> Iterator[Client]:
    """Yields a client of a service that is started for the length of the block."""
    if need is Need.STAY:
        hint = "start one with `evomerge serve`, then run this again"
        raise CommandError("--detach needs a service that stays", hint, code=Exit.UNREACHABLE)
    if need in (Need.LOOK, Need.EXPORT) and not (settings.keeps_experiments or settings.database_url):
        raise NoExperimentsError(settings.home, address(settings))
    # Imported late: where a service answers, a command should not wait for a web server.
    from service.cli.installation.server import build_app, embedded_server

    if need is not Need.LOOK:
        note("No service is running; starting one for this command.")
    private = need is not Need.RUN
    build = partial(build_app, duties=_DUTIES[need])
    with embedded_server(settings, build, stays_private=private) as embedded:
        if not private:
            note(f"The dashboard is at {embedded.url}")
        key = settings.api_key.get_secret_value() if settings.api_key else place.api_key
        with Client(embedded.url, key) as own:
            yield own
