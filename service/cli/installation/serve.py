"""`evomerge serve`, and the service that `evomerge run` starts for itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from evaluators.permissions import TASK_ROOTS
from service.cli.output import CommandError, Exit, note, say
from service.settings import Settings, is_loopback
from service.web.security import url_of

START_SECONDS = 120.0  # a cold Ray may take this long
STOP_SECONDS = 10  # that open answers get before they are cut off

Build = Callable[[Settings], FastAPI]


class Server(uvicorn.Server):
    """A server that ends its endless answers when it is told to go."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self.stopping = stopping

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ANN401 - the signal module's
        """Stops; the second time at once."""
        self.stopping.set()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Does what the server does ten times a second.

        Ray's core takes SIGTERM over when it starts, whichever thread starts it, and would end this
        process on the spot; so the signal is taken back.
        """
        if counter % 10 == 0 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handle_exit)
        return await super().on_tick(counter)

    def leave(self) -> None:
        """Stops from another thread."""
        self.stopping.set()
        self.should_exit = True


def build_app(settings: Settings) -> FastAPI:
    """Returns the service."""
    # Imported late: `evomerge list` should not wait for the database, the optimizers and plotly.
    from service.web.app import create_app

    return create_app(settings)


def server_for(settings: Settings, build: Build = build_app) -> Server:
    """Returns a server that is ready to listen."""
    app = build(settings)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return Server(config, app.state.stopping)


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
        CommandError: The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise CommandError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "stop what uses the port, or choose another with --port (0 takes any free one)",
            code=Exit.CONFLICT,
        ) from error
    return found


@dataclass(slots=True)
class Embedded:
    """A service on a thread of this process.

    Attributes:
        failure: Why it could not start.
    """

    url: str
    server: Server
    thread: threading.Thread
    failure: list[BaseException] = field(default_factory=list)


@contextmanager
def embedded_server(settings: Settings, build: Build = build_app) -> Iterator[Embedded]:
    """Runs the service on a thread for the length of the block.

    Raises:
        CommandError: It did not start.
    """
    try:
        listener = listen(settings.host, settings.port)
    except CommandError:
        listener = listen(settings.host, 0)  # another program; any port will do for this one
    url = url_of(settings, listener.getsockname()[1])
    server = server_for(settings, build)
    failure: list[BaseException] = []

    def serve() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            failure.append(error)

    thread = threading.Thread(target=serve, name="evomerge-server", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread, failure)
        yield Embedded(url, server, thread, failure)
    finally:
        server.leave()
        thread.join(STOP_SECONDS * 3)
        listener.close()


def _wait_until_started(server: Server, thread: threading.Thread, failure: list[BaseException]) -> None:
    end = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            cause = f": {failure[0]}" if failure else ""
            raise CommandError(
                f"the service could not be started{cause}", "`evomerge doctor` looks for the cause"
            )
        time.sleep(0.02)


def settings_from(**given: Any) -> Settings:  # noqa: ANN401 - Settings checks them
    """Returns the settings of the environment, changed by what was given.

    Raises:
        CommandError: They contradict each other.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        raise CommandError(place + first["msg"].removeprefix("Value error, "), code=Exit.USAGE) from error


def serve(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port; 0 takes a free one.", show_default="8000")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Folder of database and exports.", show_default="evomerge-runs")
    ] = None,
    workforce: Annotated[
        Literal["ray", "inline"] | None, typer.Option(help="Who merges and scores.", show_default="ray")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many workers; fills the machine by default.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the dashboard in a browser.")] = False,
) -> None:
    """Serve the REST interface and the dashboard, and run experiments, until Ctrl-C.

    Other machines can reach it only when EVOMERGE_API_KEY is set and --host names an address of theirs;
    then task folders and text files are read only where EVOMERGE_TASK_ROOTS allows.
    Experiments under way go on where they stopped when the service starts again.
    """
    settings = settings_from(host=host, port=port, home=home, workforce=workforce, workers=workers)
    if not is_loopback(settings.host):  # others may submit: they read no folder that was not allowed
        os.environ.setdefault(TASK_ROOTS, "")
    listener = listen(settings.host, settings.port)
    url = url_of(settings, listener.getsockname()[1])
    server = server_for(settings)
    signal.signal(signal.SIGTERM, _leave_quietly)
    threading.Thread(target=_announce, args=(server, url, open_browser), daemon=True).start()
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # the server has stopped in good order before it passes the signal on
    finally:
        listener.close()
    if not server.started:
        raise CommandError("the service could not be started", "see the lines above, or `evomerge doctor`")
    note("Stopped; experiments under way go on when the service runs again.")


def _leave_quietly(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


def _announce(server: Server, url: str, open_browser: bool) -> None:
    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.02)
    say(f"evomerge is at {url}")
    if open_browser:
        webbrowser.open(url)
