"""Commands of keys: `evomerge key create | list | revoke | audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import JsonOption, Place, finds_experiments
from service.cli.reaching import connect
from service.cli.terminal.output import clean, data_console, note, say, say_json
from service.cli.terminal.tables import plain_table
from service.store.access.role import Role

key = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Make, list and revoke keys of a service, and see what was changed by whose key.",
)
KeyName = Annotated[str, typer.Argument(metavar="KEY-NAME", help="What the key is called.")]


@key.command("whoami")
@finds_experiments
def whoami(place: Place, as_json: JsonOption = False) -> None:
    """Say whose key this is, and what role it has."""
    with connect(place) as client:
        found = client.me()
    if as_json:
        say_json(found)
        return
    say(f"{clean(found.name)} ({found.role})")


@key.command("create")
@finds_experiments
def create(
    name: KeyName,
    place: Place,
    role: Annotated[Role, typer.Option(help="What it opens.")] = Role.VIEWER,
    days: Annotated[float | None, typer.Option(min=0, help="Until it expires; by default never.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key, and print it: it cannot be shown again."""
    with connect(place) as client:
        made = client.create_key(name, role, days=days)
    if as_json:
        say_json(made)
        return
    say(made.key)
    until = f", until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else ""
    note(clean(f"{made.name} opens what a {made.role} may do{until}. Keep the key: only its hash is stored."))


@key.command("list")
@finds_experiments
def list_keys(place: Place, as_json: JsonOption = False) -> None:
    """List all keys with their roles, and when each was used last."""
    with connect(place) as client:
        found = client.keys()
    if as_json:
        say_json(found)
        return
    table = plain_table("NAME", "ROLE", "BEGINS", "STATE", "LAST USED", "CREATED")
    for each in found.items:
        state = f"until {each.expires_at:%Y-%m-%d}" if each.expires_at else "open"
        state = "revoked" if each.revoked_at else state
        used = f"{each.last_used_at:%Y-%m-%d %H:%M}" if each.last_used_at else "never"
        row = (each.name, each.role.value, each.beginning, state, used, f"{each.created_at:%Y-%m-%d}")
        table.add_row(*map(clean, row))
    data_console().print(table)


@key.command("revoke")
@finds_experiments
def revoke(name: KeyName, place: Place, as_json: JsonOption = False) -> None:
    """Have a key open nothing any more, in all controllers within seconds."""
    with connect(place) as client:
        revoked = client.revoke_key(name)
    if as_json:
        say_json(revoked)
    else:
        note(clean(f"{revoked.name} opens nothing any more."))


@key.command("audit")
@finds_experiments
def audit(
    place: Place,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries to show.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what was changed, by whose key, the newest first."""
    with connect(place) as client:
        page = client.audit(page_size=limit)
    if as_json:
        say_json(page)
        return
    table = plain_table("TIME", "KEY", "ROLE", "REQUEST", "ANSWER", "FROM")
    for each in page.items:
        request = f"{each.method} {each.path}"
        row = (
            f"{each.at:%Y-%m-%d %H:%M:%S}",
            each.key,
            each.role.value,
            request,
            str(each.status),
            each.address,
        )
        table.add_row(*map(clean, row))
    data_console().print(table)
