"""The service as a server: in a process of its own, or on a thread of a command's."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.background.duties import ALL_DUTIES, Duty
from service.cli.exits import Exit
from service.cli.installation.announcement import announced
from service.cli.terminal.output import CommandError
from service.settings import Settings, url_of

START_SECONDS = 120.0  # a cold Ray may take this long
STOP_SECONDS = 10  # that open answers get before they are cut off
LAST_SECONDS = 1  # the same, where who asked has gone: the command itself

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


def build_app(settings: Settings, duties: frozenset[Duty] = ALL_DUTIES) -> FastAPI:
    """Returns the service."""
    # Imported late: `evomerge list` should not wait for the database, the optimizers and plotly.
    from service.web.app import create_app

    return create_app(settings, duties=duties)


def server_for(settings: Settings, build: Build = build_app, *, stop_seconds: int = STOP_SECONDS) -> Server:
    """Returns a server that is ready to listen."""
    app = build(settings)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=stop_seconds,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return Server(config, app.state.stopping)


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens: who connects while the service starts waits for it.

    Raises:
        CommandError: The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen()
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
def embedded_server(
    settings: Settings, build: Build = build_app, *, stays_private: bool = False
) -> Iterator[Embedded]:
    """Runs the service on a thread for the length of the block.

    Args:
        settings: Its settings; where the port is taken, any other will do.
        build: Makes the application.
        stays_private: It is for this command alone: it takes a free port, and is not announced.

    Raises:
        CommandError: It did not start.
    """
    try:
        listener = listen(settings.host, 0 if stays_private else settings.port)
    except CommandError:
        listener = listen(settings.host, 0)  # another program; any port will do for this one
    url = url_of(settings, listener.getsockname()[1])
    server = server_for(settings, build, stop_seconds=LAST_SECONDS)
    failure: list[BaseException] = []

    def serve() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            failure.append(error)

    thread = threading.Thread(target=serve, name="evomerge-server", daemon=True)
    thread.start()
    try:
        with nullcontext() if stays_private else announced(settings.home, url):
            _wait_until_started(server, thread, failure)
            yield Embedded(url, server, thread, failure)
    finally:
        # What is still being answered was asked by this command, which is going.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
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
