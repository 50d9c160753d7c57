"""`evomerge export` and `evomerge merge`: recipes become checkpoints."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from search_spaces import Recipe
from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.mergekit_yaml import read_recipe
from service.client import Client
from service.commands.connection import KeyOption, NameArgument, ServerOption, connect
from service.commands.output import CommandError, Exit, note, note_console, say
from service.commands.spec_file import with_absolute_parents
from service.commands.tables import size
from service.views import ExportView
from workers.errors import WorkerError
from workers.hub import inspect_parent
from workers.inline_pool import InlinePool
from workers.messages import Exported, ExportOrder

HUB = "hub:"
GLANCE = 0.5  # seconds between two looks at how far it is
SHARD_GIGABYTES = 5.0
T = TypeVar("T")


def export(
    name: NameArgument,
    candidate: Annotated[str, typer.Argument(metavar="[N|winner]", help="A number, or `winner`.")] = "winner",
    target: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="FOLDER|hub:ORG/NAME", help="Where to.", show_default="the service's home"
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new Hub repository public.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an earlier export there.")] = False,
    server: ServerOption = None,
    api_key: KeyOption = None,
) -> int:
    """Export a candidate as an ordinary Hugging Face checkpoint, and wait until it is written.

    A relative FOLDER is taken from here; the service writes it on its own machine. For the Hub the
    service needs HF_TOKEN in its environment.
    """
    wanted = _candidate(candidate)
    with connect(server, api_key) as client:
        view = client.export(name, wanted, target=_target(target), private=not public, replace=replace)
        note(f"Exporting candidate {view.candidate} to {view.target}")
        try:
            view = _wait(client, view)
        except KeyboardInterrupt:
            note("\nNo longer waiting; the service goes on writing.")
            return Exit.INTERRUPTED
    if view.failure is not None:
        raise CommandError(f"the export failed: {view.failure.cause}", view.failure.remedy)
    note(f"Written ({size(view.bytes or 0)}); digest {view.digest}")
    say(view.url or view.folder or view.target)
    return Exit.OK


def _candidate(text: str) -> int | str:
    if text == "winner":
        return text
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a candidate's number nor `winner`")
    return int(text)


def _target(text: str | None) -> str | None:
    if text is None or text.startswith(HUB):
        return text
    return str(Path(text).expanduser().absolute())


def _wait(client: Client, view: ExportView) -> ExportView:
    with note_console().status("writing") as status:
        started = time.monotonic()
        while view.status in ("queued", "running"):
            status.update(f"{view.status}, {time.monotonic() - started:.0f} s")
            time.sleep(GLANCE)
            view = client.export_state(view.id)
    return view


def merge(
    recipe_file: Annotated[Path, typer.Argument(metavar="RECIPE.yml", help="A recipe as mergekit YAML.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The checkpoint's folder.")],
    shard_gigabytes: Annotated[
        float, typer.Option("--shard-size", min=0.001, metavar="GB", help="Largest file of weights.")
    ] = SHARD_GIGABYTES,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a folder that exists.")] = False,
) -> None:
    """Merge one recipe to disk, without a service: what mergekit-yaml does, with the same files.

    Relative paths in the recipe are taken from the recipe's folder. Parents are read as they are
    needed, one tensor at a time.
    """
    recipe = _read(recipe_file)
    order = ExportOrder(
        recipe=recipe,
        folder=str(folder.expanduser().absolute()),
        shard_bytes=int(shard_gigabytes * 1e9),
        replace=replace,
    )
    try:
        exported = _with_progress(order)
    except WorkerError as error:
        raise CommandError(f"{error.field}: {error.detail}", error.remedy) from error
    note(f"Written ({size(exported.bytes)}); digest {exported.digest}")
    say(exported.folder)


def _read(path: Path) -> Recipe:
    try:
        recipe = read_recipe(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise CommandError(f"{path}: {cause}", "check the path", code=Exit.INVALID) from error
    except RecipeFileError as error:
        listed = "\n".join(f"  {problem}" for problem in error.problems)
        raise CommandError(f"{path} has mistakes:\n{listed}", code=Exit.INVALID) from error
    except SpaceError as error:
        raise CommandError(f"{path}: {error}", code=Exit.INVALID) from error
    return with_absolute_parents(recipe, path.absolute().parent)


def _with_progress(order: ExportOrder) -> Exported:
    """Carries the order out on a thread, and shows how the unfinished folder beside its place grows."""
    total = inspect_parent(order.recipe.tokenizer_owner).bytes  # about what will be written
    folder = Path(order.folder)
    columns = (TextColumn("merging"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=note_console()) as progress:
        task = progress.add_task("", total=total)
        result = _on_thread(
            lambda: InlinePool().run_errand(order),
            meanwhile=lambda: progress.update(task, completed=min(_written(folder), total)),
        )
        progress.update(task, completed=total)
    if not isinstance(result, Exported):
        raise TypeError(f"an export order was answered with {type(result).__name__}")
    return result


def _written(folder: Path) -> int:
    try:
        partial = max(folder.parent.glob(f".{folder.name}.partial-*"), key=lambda path: path.stat().st_mtime)
        return sum(path.stat().st_size for path in partial.iterdir())
    except (OSError, ValueError):  # not begun yet, or just put in place
        return 0


def _on_thread(work: Callable[[], T], *, meanwhile: Callable[[], None]) -> T:
    """Returns what the work returns, or raises what it raises."""
    results: list[T] = []
    errors: list[Exception] = []

    def target() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        meanwhile()
    if errors:
        raise errors[0]
    return results[0]
