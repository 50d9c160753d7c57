"""`evomerge doctor`: is everything here that evomerge needs?"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import typer
from huggingface_hub import get_token
from rich.table import Table

from service.cli.chosen_settings import settings_from
from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.installation.server import listen
from service.cli.terminal.output import CommandError, clean, data_console, say
from service.client.client import ApiError, Client, ClientError
from service.settings import Settings, url_of

FEWEST_BYTES_FREE = 5 * 10**9
PROBE_SECONDS = 120
TORCH_PROBE = (
    "import json, torch; print(json.dumps({'version': torch.__version__, 'cuda': torch.version.cuda, "
    "'gpus': [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]}))"
)
IMPORT_PROBE = "import {module}"

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        fix: What to do, where it is not all right.
    """

    name: str
    state: State
    detail: str
    fix: str = ""


def doctor(
    home: Annotated[
        Path | None, typer.Option(help="Folder of database and exports.", show_default="evomerge-runs")
    ] = None,
    invariants: Annotated[
        bool, typer.Option("--invariants", help="Instead: judge whether the database's rows are sound.")
    ] = False,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="Judge this database's rows.", show_default=False)
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Also ask for every candidate once more, and compare.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Check what evomerge needs on this machine, and say how to mend what is missing.

    With `--invariants` or `--database URL` (sqlite:///FILE, postgresql://...) it judges what must hold of a
    database whatever was killed when, and shows the rows that break it. Nothing is changed.
    """
    settings = settings_from(home=home)
    if invariants or database is not None:
        from service.cli.installation.invariants_check import check_invariants

        return check_invariants(database or settings.database, replay=replay, as_json=as_json)
    checks = examine(settings)
    if as_json:
        say(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        data_console().print(_table(checks))
    return Exit.FAILED if any(check.state == "failed" for check in checks) else Exit.OK


def examine(settings: Settings) -> list[Check]:
    """Returns all checks; those that import heavy libraries run at once, in processes of their own."""
    checks: tuple[Callable[[Settings], Check], ...] = (
        _python,
        _torch,
        _ray,
        _lm_eval,
        _disk,
        _database,
        _port,
        _token,
    )
    with ThreadPoolExecutor(len(checks)) as pool:
        return list(pool.map(lambda look: look(settings), checks))


def _python(_settings: Settings) -> Check:
    return Check("Python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")


def _torch(_settings: Settings) -> Check:
    fix = "pip install 'evomerge[worker]'; for a GPU choose torch's build at https://pytorch.org"
    if _version("torch") is None:
        return Check("torch", "failed", "not installed: this machine can serve, but not merge", fix)
    try:
        found = json.loads(_probe(TORCH_PROBE))
    except CommandError as error:
        return Check("torch", "failed", error.message, fix)
    gpus = ", ".join(found["gpus"])
    if gpus:
        return Check("torch", "ok", f"{found['version']}, CUDA {found['cuda']}: {gpus}")
    return Check(
        "torch", "warning", f"{found['version']}, no GPU", "fine for small models; see torch's builds"
    )


def _ray(settings: Settings) -> Check:
    found = _version("ray")
    if found is not None:
        address = os.environ.get("RAY_ADDRESS")
        return Check(
            "Ray", "ok", f"{found}, " + (f"cluster at {address}" if address else "started when needed")
        )
    state: State = "failed" if settings.workforce == "ray" else "warning"
    return Check(
        "Ray", state, "not installed", "pip install 'evomerge[ray]', or serve with --workforce inline"
    )


def _lm_eval(_settings: Settings) -> Check:
    found = _version("lm-eval")
    if found is None:
        return Check("lm-eval", "failed", "not installed", "pip install 'evomerge[worker]'")
    try:
        _probe(IMPORT_PROBE.format(module="lm_eval"))
    except CommandError as error:
        return Check("lm-eval", "failed", error.message, "pip install --force-reinstall lm-eval")
    return Check("lm-eval", "ok", found)


def _disk(settings: Settings) -> Check:
    place = settings.home.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{free / 1e9:.1f} GB free at {settings.home.absolute()}"
    if not os.access(place, os.W_OK):
        return Check("disk", "failed", f"{place} cannot be written", "choose another folder with --home")
    if free < FEWEST_BYTES_FREE:
        return Check("disk", "warning", detail, "make room: an export is as large as one parent")
    return Check("disk", "ok", detail)


def _database(settings: Settings) -> Check:
    from service.cli.installation.database_check import look_at_database

    state, detail, fix = look_at_database(settings)
    return Check("database", state, detail, fix)


def _port(settings: Settings) -> Check:
    try:
        listen(settings.host, settings.port).close()
    except CommandError as error:
        try:
            with Client(url_of(settings), timeout=3.0) as client:
                running = client.version()
            served = f" {running['home']}" if "home" in running else ""
            return Check("port", "ok", f"{settings.port}: evomerge {running['version']} serves{served} there")
        except ApiError as refusal:
            if refusal.code == "unauthorized":
                return Check("port", "ok", f"{settings.port}: evomerge is serving there, and asks for a key")
        except (ClientError, KeyError, ValueError):
            pass  # another program: said below
        return Check("port", "failed", error.message, error.hint)
    return Check("port", "ok", f"{settings.port} is free")


def _token(_settings: Settings) -> Check:
    if get_token():
        return Check("Hub token", "ok", "there is one")
    fix = "set HF_TOKEN, or `hf auth login`; needed only for gated models and exports to the Hub"
    return Check("Hub token", "warning", "there is none", fix)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _probe(code: str) -> str:
    """Runs Python code in a process of its own; returns what it prints last.

    Raises:
        CommandError: It failed; the message is the last line that it said.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter with our own code
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"could not be tried: {error}") from error
    if done.returncode != 0:
        raise CommandError((done.stderr.strip().splitlines() or ["failed without a word"])[-1])
    return (done.stdout.strip().splitlines() or [""])[-1]


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        table.add_row(check.state, check.name, "\n".join(_lines(check)))
    return table


def _lines(check: Check) -> Iterator[str]:
    yield clean(check.detail)
    if check.state != "ok" and check.fix:
        yield f"→ {check.fix}"
