"""`evomerge check` and `evomerge run`: experiments' files are checked, submitted and watched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import JsonOption, KeyOption, ServerOption, connect
from service.cli.evolve_flags import flags_of, takes_evolve_flags
from service.cli.experiments.evolve_results import deliver
from service.cli.experiments.stages import Stage, begin, check_stages, read_stages, refuse
from service.cli.experiments.watch import conclude, follow
from service.cli.installation.serve import embedded_server, settings_from
from service.cli.output import CommandError, Exit, clean, data_console, note, say, say_json
from service.cli.spec_file import read_spec_file
from service.cli.tables import front_table
from service.cli.units import size
from service.client.client import DEFAULT_URL, ApiError, Client, ServerUnreachableError
from service.reports.views import ExperimentView, ValidationView
from service.web.security import url_of

FileArgument = Annotated[Path, typer.Argument(metavar="FILE.yml", help="The experiment.", show_default=False)]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value: budget.candidates=50. May be repeated."),
]
NameOption = Annotated[str | None, typer.Option("--name", help="Another name than the file's.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse what another tool's file says in vain, instead of warning.")
]
HomeOption = Annotated[
    Path | None,
    typer.Option(help="Folder of a service that is started for this.", show_default="evomerge-runs"),
]


@contextmanager
def some_service(
    server: str | None,
    api_key: str | None,
    *,
    home: Path | None,
    may_start: bool = True,
    workers: int | None = None,
) -> Iterator[tuple[Client, bool]]:
    """Yields a client of the named service, of this machine's, or of one started for the length of the block.

    The second value says whether it was started here.

    Raises:
        ServerUnreachableError: The named service does not answer.
        CommandError: None answers, and none may be started.
    """
    settings = settings_from(home=home, workers=workers)
    # A folder of one's own asks for a service of one's own.
    local = url_of(settings) if settings.port else DEFAULT_URL
    client = connect(server or local, api_key)
    if server is not None or (home is None and _answers(client)):
        with client:
            client.version()
            yield client, False
        return
    client.close()
    if not may_start:
        hint = "start one with `evomerge serve`, then run this again"
        raise CommandError("--detach needs a service that stays", hint, code=Exit.UNREACHABLE)
    note("No service is running; starting one for this experiment.")
    with embedded_server(settings) as embedded:
        note(f"The dashboard is at {embedded.url}")
        key = settings.api_key.get_secret_value() if settings.api_key else api_key
        with connect(embedded.url, key) as own:
            yield own, True


def _answers(client: Client) -> bool:
    try:
        return client.version().get("name") == "evomerge"
    except (ServerUnreachableError, ValueError):
        return False
    except ApiError as error:
        # A key is missing: that is an evomerge to be told about.  Anything else is another program.
        return error.code == "unauthorized"


@takes_evolve_flags
def check(
    context: typer.Context,
    file: FileArgument,
    changes: SetOption = None,
    name: NameOption = None,
    home: HomeOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
    api_key: KeyOption = None,
) -> int:
    """Check an experiment without running it: parents, search space, tasks; no weights are read."""
    flags = flags_of(context)
    spec = read_spec_file(file, changes or (), name=name, flags=flags, strict=strict)
    with some_service(server, api_key, home=home or flags.storage) as (client, _):
        found = client.validate(spec.content)
    if as_json:
        say_json(found)
    elif found.valid:
        say(summary(found))
    refuse(spec, found)
    return Exit.OK


def summary(found: ValidationView) -> str:
    """Returns what an experiment would be."""
    lines = [f"genes: {len(found.genes)}", f"baselines: {', '.join(found.baselines)}"]
    for objective in found.objectives:
        items = ", ".join(f"{count} {split}" for split, count in objective.items.items())
        lines.append(f"objective {objective.name}: {objective.metric}, items: {items}")
    if found.algorithm:
        lines.append(f"optimizer: {found.algorithm} ({found.algorithm_reason})")
    if found.parameters is not None and found.parent_bytes is not None:
        lines.append(f"parents: {found.parameters:,} parameters, {size(found.parent_bytes)} in all")
    return "\n".join(lines)


@takes_evolve_flags
def run(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE.yml...", help="The experiments.", show_default=False)
    ],
    detach: Annotated[
        bool, typer.Option("--detach", help="Submit and return; needs a running service.")
    ] = False,
    changes: SetOption = None,
    name: NameOption = None,
    home: HomeOption = None,
    strict: StrictOption = False,
    server: ServerOption = None,
    api_key: KeyOption = None,
) -> int:
    """Check and submit experiments, one after the other, and watch each to its end.

    Without a running service one is started for the length of the command. Paths in a file are
    relative to the file. Each experiment begins when the one before has succeeded, and may take over
    what that one found: `space: {winner: NAME}`, `warm_start: [NAME]`. The same command goes on where
    a run was stopped.
    """
    flags = flags_of(context)
    specs = read_stages(files, changes or (), name=name, flags=flags, strict=strict)
    if detach and len(specs) > 1:
        hint = "leave it out: each experiment is submitted when the one before has ended"
        raise CommandError("--detach submits one experiment", hint, code=Exit.USAGE)
    place = home or flags.storage
    service = some_service(server, api_key, home=place, may_start=not detach, workers=flags.workers)
    with service as (client, own):
        stages = check_stages(client, specs)
        if detach:
            view = begin(client, stages[0])
            say(view.name)
            note(f"Submitted; watch it with `evomerge watch {view.name}`.")
            return Exit.OK
        for number, stage in enumerate(stages):
            code = _see_through(client, stage, own=own)
            if code is Exit.OK:
                deliver(client, stage.spec, flags, home)
            if code is not Exit.OK:
                _tell_rest(stages[number + 1 :])
                return code
    return Exit.OK


def _see_through(client: Client, stage: Stage, *, own: bool) -> Exit:
    """Begins an experiment and watches it to its end."""
    view = begin(client, stage)
    try:
        view = follow(client, str(view.id))
    except KeyboardInterrupt:
        note(_interrupted(view.name, own=own))
        return Exit.INTERRUPTED
    code = conclude(view)
    if code is Exit.OK:
        _show_front(client, view)
    return code


def _tell_rest(stages: Sequence[Stage]) -> None:
    names = [stage.name for stage in stages if stage.found is None]
    if names:
        were = "was" if len(names) == 1 else "were"
        note(f"{', '.join(names)} {were} not begun; the same command goes on from here.")


def _interrupted(name: str, *, own: bool) -> str:
    if own:
        return (
            f"\nStopped. What {name} has scored is kept: it goes on with the same command, or with the next "
            "`evomerge serve` in this folder."
        )
    return f"\nNo longer watching; {name} goes on. Look again with `evomerge watch {name}`."


def _show_front(client: Client, view: ExperimentView) -> None:
    console = data_console()
    front = client.front(view.id, "search" if view.winner is None else "test")
    console.print(front_table(front, width=console.width))
    winner = view.winner
    if winner is not None and winner.unbeaten:
        note(clean(f"Mind: {winner.unbeaten}."))
    copied = winner is not None and winner.kind.is_bare
    which, number = ("a merge by its number", "N") if copied else ("the winner", "winner")
    note(f"Export {which} with `evomerge export {view.name} {number} --to FOLDER`.")
