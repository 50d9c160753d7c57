"""`evomerge check` and `evomerge run`: experiments' files are checked, submitted and watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import JsonOption, Place, finds_experiments
from service.cli.evolve_flags import EvolveFlags, flags_of, takes_evolve_flags
from service.cli.exits import Exit
from service.cli.experiments.evolve_results import BestConfig, deliver
from service.cli.experiments.logging_to import LogOption, Trackers, trackers_of
from service.cli.experiments.stages import Stage, begin, check_stages, checking, read_stages, refuse
from service.cli.experiments.watch import conclude, follow
from service.cli.reaching import Need, reach
from service.cli.spec_file import read_spec_file
from service.cli.terminal.output import CommandError, clean, data_console, note, say, say_json
from service.cli.terminal.still import still
from service.cli.terminal.tables import front_table, known_words
from service.cli.terminal.units import size
from service.client.client import Client
from service.reports.views import ExperimentView, ValidationView

FileArgument = Annotated[Path, typer.Argument(metavar="FILE.yml", help="The experiment.", show_default=False)]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value: budget.candidates=50. May be repeated."),
]
NameOption = Annotated[str | None, typer.Option("--name", help="Another name than the file's.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse what another tool's file says in vain, instead of warning.")
]


@takes_evolve_flags
@finds_experiments
def check(
    context: typer.Context,
    file: FileArgument,
    place: Place,
    changes: SetOption = None,
    name: NameOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> int:
    """Check an experiment without running it: parents, search space, tasks; no weights are read."""
    flags = flags_of(context)
    spec = read_spec_file(file, changes or (), name=name, flags=flags, strict=strict)
    with reach(_stored(place, flags), Need.CHECK) as (client, _), still(checking([spec])):
        found = client.validate(spec.content)
    if as_json:
        say_json(found)
    elif found.valid:
        say(summary(found))
    refuse(spec, found)
    return Exit.OK


def _stored(place: Place, flags: EvolveFlags) -> Place:
    """Returns where experiments are kept: mergekit-evolve calls the folder its storage path."""
    if place.home is not None or place.named_url is not None or flags.storage is None:
        return place
    return replace(place, home=flags.storage)


def summary(found: ValidationView) -> str:
    """Returns what an experiment would be."""
    idle = f", and {len(found.idle_genes)} that do nothing" if found.idle_genes else ""
    lines = [f"genes: {len(found.genes)}{idle}", *(f"parent: {each}" for each in found.changes)]
    lines += [f"baselines: {', '.join(found.baselines)}"]
    if found.known:
        lines.append(f"starts from: {known_words(found.known)}")
    for objective in found.objectives:
        items = ", ".join(f"{count} {split}" for split, count in objective.items.items())
        asked = f", asked as: {objective.asked}" if objective.asked else ""
        lines.append(f"objective {objective.name}: {objective.metric}, items: {items}{asked}")
    if found.cost is not None:
        lines.append(found.cost.words)
    if found.algorithm:
        lines.append(f"optimizer: {found.algorithm} ({found.algorithm_reason})")
    if found.parameters is not None and found.parent_bytes is not None:
        lines.append(f"parents: {found.parameters:,} parameters, {size(found.parent_bytes)} in all")
    return "\n".join(lines)


@takes_evolve_flags
@finds_experiments
def run(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE.yml...", help="The experiments.", show_default=False)
    ],
    place: Place,
    detach: Annotated[
        bool, typer.Option("--detach", help="Submit and return; needs a running service.")
    ] = False,
    changes: SetOption = None,
    name: NameOption = None,
    strict: StrictOption = False,
    log_to: LogOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check and submit experiments, one after the other, and watch each to its end.

    Without a running service one is started for the length of the command. Paths in a file are
    relative to the file. Each experiment begins when the one before has succeeded, and may take over
    what that one found: `space: {winner: NAME}`, `warm_start: [NAME]`. The same command goes on where
    a run was stopped, and shows again what a finished one found. --json writes the front.
    """
    flags = flags_of(context)
    specs = read_stages(files, changes or (), name=name, flags=flags, strict=strict)
    if detach and len(specs) > 1:
        hint = "leave it out: each experiment is submitted when the one before has ended"
        raise CommandError("--detach submits one experiment", hint, code=Exit.USAGE)
    need = Need.STAY if detach else Need.RUN
    trackers = trackers_of((*(log_to or ()), *flags.trackers), _stored(place, flags).home)
    with reach(_stored(place, flags), need, workers=flags.workers) as (client, own):
        try:
            with still(checking(specs)):
                stages = check_stages(client, specs)
        except KeyboardInterrupt:
            note("\nStopped while checking; nothing was submitted.")
            return Exit.INTERRUPTED
        if detach:
            view = begin(client, stages[0])
            if as_json:
                say_json(view)
            else:
                say(view.name)
            note(f"Submitted; watch it with `evomerge watch {view.name}`.")
            return Exit.OK
        for number, stage in enumerate(stages):
            best = BestConfig(client, stage.spec, flags, place.home)
            code = _see_through(client, stage, trackers, best, own=own, as_json=as_json)
            if code is Exit.OK:
                deliver(client, stage.spec, flags, place.home)
            if code is not Exit.OK:
                _tell_rest(stages[number + 1 :])
                return code
    return Exit.OK


def _see_through(
    client: Client, stage: Stage, trackers: Trackers, best: BestConfig, *, own: bool, as_json: bool
) -> Exit:
    """Begins an experiment and watches it to its end."""
    view = begin(client, stage)
    key = str(view.id)
    try:
        with trackers.told(client, key, own=own):
            view = follow(client, key, best)
    except KeyboardInterrupt:
        note(_interrupted(view.name, own=own))
        return Exit.INTERRUPTED
    code = conclude(view)
    if code is Exit.OK:
        _show_front(client, view, as_json=as_json)
    elif as_json:
        say_json(view)
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


def _show_front(client: Client, view: ExperimentView, *, as_json: bool) -> None:
    front = client.front(view.id, "search" if view.winner is None else "test")
    if as_json:
        say_json(front)
    else:
        console = data_console()
        console.print(front_table(front, width=console.width))
    winner = view.winner
    if winner is not None and winner.unbeaten:
        note(clean(f"Mind: {winner.unbeaten}."))
    copied = winner is not None and winner.kind.is_bare
    which, number = ("a merge by its number", "N") if copied else ("the winner", "winner")
    note(f"Export {which} with `evomerge export {view.name} {number} --to FOLDER`.")
