"""Commands that steer: pause, resume, cancel."""

from __future__ import annotations

from service.commands.connection import KeyOption, NameArgument, ServerOption, connect
from service.commands.output import note
from service.views import ExperimentView


def pause(name: NameArgument, server: ServerOption = None, api_key: KeyOption = None) -> None:
    """Have an experiment stop proposing; candidates on a worker finish."""
    with connect(server, api_key) as client:
        _say(client.pause(name))


def resume(name: NameArgument, server: ServerOption = None, api_key: KeyOption = None) -> None:
    """Have a paused or failed experiment go on where it stopped."""
    with connect(server, api_key) as client:
        _say(client.resume(name))


def cancel(name: NameArgument, server: ServerOption = None, api_key: KeyOption = None) -> None:
    """End an experiment for good; what was scored stays."""
    with connect(server, api_key) as client:
        _say(client.cancel(name))


def _say(view: ExperimentView) -> None:
    note(f"{view.name} is {view.status}")
