"""`evomerge merge`: a recipe becomes a checkpoint, without a service."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer

from service.cli.model_arguments import recipe_in
from service.cli.output import CommandError, note, say
from service.cli.units import duration, size
from workers.errors import WorkerError
from workers.pools.actor import merge_here
from workers.protocol.messages import ExportOrder

if TYPE_CHECKING:
    from service.cli.progress_bar import ProgressBar

SHARD_GIGABYTES = 5.0
BETWEEN_LINES = 2.0  # seconds between two lines of progress where there is no terminal
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"\s*(?P<number>\d{1,15}(\.\d{1,15})?)\s*(?P<unit>([kmgt]i?)?)b?\s*", re.I | re.A)


def merge(
    recipe_file: Annotated[Path, typer.Argument(metavar="RECIPE.yml", help="A recipe as mergekit YAML.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The checkpoint's folder.")],
    shard_gigabytes: Annotated[
        float, typer.Option("--shard-size", min=0.001, metavar="GB", help="Largest file of weights.")
    ] = SHARD_GIGABYTES,
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit", metavar="SIZE", help="Most memory to use, such as 4GB.", show_default="no limit"
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a folder that exists.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew where the same merge was killed before.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify/--no-verify", help="Have transformers load it before it gets its name."),
    ] = True,
) -> None:
    """Merge one recipe to disk, without a service: what mergekit-yaml does, with the same files.

    Relative paths in the recipe are taken from the recipe's folder. Parents are read as they are
    needed, one tensor or some rows at a time. OUT appears when it is complete and transformers has
    loaded it in a fresh process; a merge that was killed goes on where it stopped when the same
    command is given again.
    """
    order = ExportOrder(
        recipe=recipe_in(recipe_file),
        folder=str(folder.expanduser().absolute()),
        shard_bytes=int(shard_gigabytes * 1e9),
        replace=replace,
        memory_limit=None if memory_limit is None else bytes_in(memory_limit),
        restart=restart,
        verify=verify,
    )
    try:
        with _progress() as shown:
            exported = merge_here(order, shown.written, shown.announced)
    except KeyboardInterrupt:
        note("Interrupted; the same command goes on from here.")
        raise
    except WorkerError as error:
        raise CommandError(f"{error.field}: {error.detail}", error.remedy) from error
    note(f"Written ({size(exported.bytes)}); digest {exported.digest}")
    note(exported.verified or "not verified: transformers was not asked to load it (--no-verify)")
    say(exported.folder)


def bytes_in(text: str) -> int:
    """Returns the bytes that a size such as `4GB` or `512MiB` names.

    Raises:
        typer.BadParameter: It names none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no size; write it as 4GB or 512MB")
    return int(float(match["number"]) * _UNITS[match["unit"].lower()])


def _progress() -> ProgressBar | ProgressLines:
    """Returns what shows how far a merge is, where remarks go."""
    if not sys.stderr.isatty():
        return ProgressLines()
    from service.cli.progress_bar import ProgressBar  # slow to import, and of no use in logs

    return ProgressBar()


class ProgressLines:
    """Says now and then how far a merge is: for logs and pipes.  The writer's thread calls it."""

    def __init__(self) -> None:
        self._total, self._tensors = 0, 0
        self._began = self._said = time.monotonic()
        self._found = 0  # bytes that an earlier process wrote

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Has nothing to tidy up."""

    def announced(self, total: int) -> None:
        """Hears how many bytes there will be."""
        self._total = total
        note(f"merging: {size(total)} to write")

    def written(self, tensors: int, count: int) -> None:
        """Hears how many tensors and bytes are written."""
        if self._tensors == 0 and tensors > 1:
            self._found = count
            note(f"going on after {tensors} tensors, {size(count)}")
        self._tensors = tensors
        now = time.monotonic()
        if now - self._said < BETWEEN_LINES:
            return
        self._said = now
        rate = (count - self._found) / max(now - self._began, 1e-6)
        left = duration((self._total - count) / rate) if rate > 0 else "?"
        share = 100 * count // max(self._total, 1)
        note(f"merging: {share} %, {size(count)} of {size(self._total)}, {size(round(rate))}/s, {left} left")
