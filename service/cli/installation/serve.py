"""`evomerge serve`."""

from __future__ import annotations

import os
import signal
import threading
import time
import webbrowser
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from evaluators.permissions import TASK_ROOTS
from service.cli.chosen_settings import settings_from
from service.cli.installation.announcement import announced
from service.cli.installation.server import Server, listen, server_for
from service.cli.installation.service_trackers import telling_trackers
from service.cli.terminal.output import CommandError, note, say
from service.settings import is_loopback, url_of
from service.trackers import read_targets


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
    targets = read_targets((), settings.trackers)
    listener = listen(settings.host, settings.port)
    url = url_of(settings, listener.getsockname()[1])
    server = server_for(settings.for_requests())
    signal.signal(signal.SIGTERM, _leave_quietly)
    threading.Thread(target=_announce, args=(server, url, open_browser), daemon=True).start()
    try:
        with announced(settings.home, url), telling_trackers(url, settings, targets):
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
