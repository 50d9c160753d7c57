"""`evomerge reproduce`: a checkpoint is merged again from its lock and compared."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.model_arguments import parent_named
from service.cli.terminal.output import CommandError, clean, note, say
from service.cli.terminal.units import bytes_in
from workers.checkpoints.hub.parent_files import fetch_parent
from workers.pools.actor import reproduce_here
from workers.protocol.reproduction_orders import Reproduced, ReproductionOrder

HUB = "hub:"
_SHOWN = 10  # names


def reproduce(
    checkpoint: Annotated[str, typer.Argument(metavar="DIR|hub:ORG/NAME[@REVISION]", help="The checkpoint.")],
    parents: Annotated[
        list[str] | None,
        typer.Option("--parent", metavar="REFERENCE=MODEL", help="Where a parent of the lock lies now."),
    ] = None,
    memory_limit: Annotated[
        str | None, typer.Option("--memory-limit", metavar="SIZE", help="Most memory to use, such as 4GB.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Merge a checkpoint again from its `evomerge.lock.json`, and compare every tensor bit by bit.

    Writes nothing. Ends with code 1 where a tensor comes out otherwise, or the files are not the lock's;
    says which versions of libraries have changed since.
    """
    order = ReproductionOrder(
        str(_folder(checkpoint)),
        dict(_place(text) for text in parents or ()),
        bytes_in(memory_limit) if memory_limit is not None else None,
    )
    found = reproduce_here(order)
    if as_json:
        say(json.dumps(asdict(found) | {"same": found.is_same}, indent=2))
    else:
        _show(found)
    return Exit.OK if found.is_same else Exit.FAILED


def _folder(checkpoint: str) -> Path:
    if not checkpoint.startswith(HUB):
        return Path(checkpoint).expanduser().absolute()
    return fetch_parent(parent_named(checkpoint.removeprefix(HUB)))


def _place(text: str) -> tuple[str, str]:
    reference, sign, model = text.partition("=")
    if not sign or not reference or not model:
        hint = "write it as the lock names it, an equals sign, and where it is now"
        raise CommandError(f"{text!r} names no parent's place", hint, code=Exit.USAGE)
    return reference, str(parent_named(model))


def _show(found: Reproduced) -> None:
    for name, then, now in found.changed_versions:
        note(clean(f"{name} was {then}, and is {now} here"))
    for names, what in (
        (found.differing, "come out otherwise"),
        (found.altered, "are not in the files as the lock has them"),
    ):
        if names:
            shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
            say(clean(f"{len(names)} of {found.tensors} tensors {what}: {shown}"))
    if found.is_same:
        say(f"all {found.tensors} tensors are the same, bit by bit")
    elif found.differing and found.changed_versions:
        note(
            "a change of version, processor or device can change bits; the weights are then close, not equal"
        )
