"""Commands that describe an experiment, or make another one after it: edit, clone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.cli.connection import JsonOption, NameArgument, Place, finds_experiments
from service.cli.reaching import connect, reach
from service.cli.spec_changes import apply_change
from service.cli.terminal.output import clean, note, say_json


@finds_experiments
def edit(
    name: NameArgument,
    place: Place,
    rename: Annotated[str | None, typer.Option("--name", help="Another name.")] = None,
    notes: Annotated[str | None, typer.Option(help="What is to be noted about it.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to add. Repeatable.")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="A tag to take away. Repeatable.")] = None,
    star: Annotated[bool | None, typer.Option("--star/--no-star", help="Give or take a star.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change an experiment's name, notes, tags or star; its search goes on as it was."""
    if all(one is None or one == [] for one in (rename, notes, tag, untag, star)):
        raise typer.BadParameter("say what to change, as --tag paper", param_hint="--tag")
    with connect(place) as client:
        tags = None
        if tag or untag:
            before = client.experiment(name).tags
            tags = [one for one in dict.fromkeys([*before, *(tag or [])]) if one not in (untag or [])]
        view = client.describe(name, name=rename, notes=notes, tags=tags, starred=star)
    if as_json:
        say_json(view)
    else:
        tagged = f", tagged {', '.join(view.tags)}" if view.tags else ""
        note(clean(f"{view.name}{' (starred)' if view.starred else ''}{tagged}"))


@finds_experiments
def clone(
    name: NameArgument,
    new: Annotated[str, typer.Argument(metavar="NEW-NAME", help="What the new experiment is called.")],
    place: Place,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A value to change. Repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create an experiment after another one, with changes."""
    with reach(place) as (client, own):
        spec: dict[str, Any] = client.experiment(name).spec
        for change in changes or []:
            apply_change(spec, change)
        made = client.clone(name, new, {key: value for key, value in spec.items() if key != "name"})
    if as_json:
        say_json(made)
    else:
        then = (
            f"run it with `evomerge resume {made.name}`"
            if own
            else f"watch it with `evomerge watch {made.name}`"
        )
        note(clean(f"{made.name} is {made.status.words}; {then}"))
