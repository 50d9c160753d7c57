"""What `evomerge export --dry-run` shows."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from service.cli.exits import Exit
from service.cli.terminal.output import clean, data_console, say_json
from service.cli.terminal.units import size
from service.reports.views import ExportPreview


def show_preview(view: ExportPreview, *, as_json: bool) -> int:
    """Shows what an export would write and change; returns the code that it ends with."""
    if as_json:
        say_json(view)
    else:
        _show(view)
    return Exit.CONFLICT if view.refusals else Exit.OK


def _show(view: ExportPreview) -> None:
    console = data_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("FILE", overflow="fold")
    table.add_column("BYTES", justify="right")
    for name, count in view.files.items():
        table.add_row(escape(clean(name)), "?" if count is None else f"{count:,}")
    console.print(table)
    console.print(
        f"\n{len(view.files)} files, {size(view.bytes)}; nothing was written.", markup=False, highlight=False
    )
    told = [
        ("Target", [f"{view.target}: {view.change}"]),
        (f"Licence: {view.licence or 'not looked at'}", view.licence_findings),
        ("Notes", view.notes),
        ("The export would be refused", view.refusals),
    ]
    for head, lines in told:
        if lines or head.startswith("Licence"):
            console.print(f"\n{clean(head)}", style="bold", markup=False, highlight=False)
        for line in lines:
            console.print(f"  {clean(line)}", markup=False, highlight=False)
    console.print("\nREADME.md", style="bold")
    console.print(clean(view.card), markup=False, highlight=False, soft_wrap=True)
