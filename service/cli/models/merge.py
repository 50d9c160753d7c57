"""`evomerge merge`: a recipe becomes a checkpoint, without a service."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace as replaced
from pathlib import Path
from typing import Annotated

import typer

from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_file import NamedMerge
from service.cli.connection import JsonOption
from service.cli.model_arguments import merges_in
from service.cli.models.merge_progress import progress
from service.cli.models.mergekit_flags import with_mergekits_flags
from service.cli.models.several_merges import MergeStep, steps_to
from service.cli.models.written import say_written
from service.cli.terminal.output import note
from service.cli.terminal.units import bytes_in, size
from workers.errors import FolderTakenError
from workers.pools.actor import merge_here
from workers.protocol.messages import Exported, ExportOrder

SHARD_GIGABYTES = 5.0
_NUMBERS = re.compile(r"(?P<number>\d{1,15})(?P<unit>[kmb]?)", re.IGNORECASE | re.ASCII)
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, None: 2}


@with_mergekits_flags
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
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="Where to merge: cpu, cuda, cuda:1 or auto.")
    ] = "cpu",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a folder that exists.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew where the same merge was killed before.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify/--no-verify", help="Have transformers load it before it gets its name."),
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a recipe with parts that are not read.")
    ] = False,
    intermediate: Annotated[
        Path | None,
        typer.Option(
            "--intermediate-dir",
            "-I",
            metavar="DIR",
            help="Keep the models of a file's named merges here.",
            show_default="beside OUT, until it is complete",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--random-seed", min=0, metavar="N", help="Of methods that draw masks.")
    ] = None,
    as_json: JsonOption = False,
    cuda: Annotated[bool, typer.Option("--cuda/--no-cuda", "--gpu-rich", hidden=True)] = False,
    out_shard_size: Annotated[str | None, typer.Option("--out-shard-size", hidden=True)] = None,
    lazy: Annotated[bool, typer.Option("--lazy/--no-lazy", hidden=True)] = True,
) -> None:
    """Merge one recipe to disk, without a service: what mergekit-yaml does, with the same files.

    Relative paths in the recipe are taken from the recipe's folder. Parents are read as they are
    needed, one tensor or some rows at a time. OUT appears when it is complete and transformers has
    loaded it in a fresh process; a merge that was killed goes on where it stopped when the same
    command is given again.

    A file may hold several recipes, divided by ---, with a name each: where one recipe's model is
    another's name, that is merged first. The flags of mergekit-yaml and mergekit-multi are accepted.
    """
    merges = _seeded(merges_in(recipe_file, strict=strict), seed)
    order = ExportOrder(
        recipe=merges[0].recipe,
        folder=str(folder.expanduser().absolute()),
        shard_bytes=int(shard_gigabytes * 1e9),
        replace=replace,
        memory_limit=None if memory_limit is None else bytes_in(memory_limit),
        restart=restart,
        device=_device(device, cuda=cuda),
        strict=strict,
        verify=verify,
    )
    if len(merges) == 1:
        exported = _carried_out(order, out_shard_size)
        note(f"Written ({size(exported.bytes)}); digest {exported.digest}")
        say_written(exported, as_json=as_json)
        return
    steps = steps_to(merges, Path(order.folder), None if intermediate is None else intermediate.absolute())
    _check_folders(steps, replace=replace)
    for step in steps:
        _carry_out(step, order, out_shard_size, again=restart or not lazy, as_json=as_json)
    if intermediate is None:
        for step in steps:
            if not step.is_final:
                shutil.rmtree(step.folder.parent, ignore_errors=True)


def _carry_out(step: MergeStep, order: ExportOrder, shard: str | None, *, again: bool, as_json: bool) -> None:
    """Carries out one merge of several; one that is there is taken as it is, unless `again`."""
    called = step.name or "the final merge"
    if not step.is_final and step.is_made and not again:
        note(f"{called}: is made already, in {step.folder}")
        return
    note(f"{called}: merging into {step.folder}")
    own = replaced(order, recipe=step.recipe, folder=str(step.folder))
    exported = _carried_out(own if step.is_final else replaced(own, replace=True), shard)
    note(f"{called}: written ({size(exported.bytes)}); digest {exported.digest}")
    if step.is_final:
        say_written(exported, as_json=as_json)


def _carried_out(order: ExportOrder, out_shard_size: str | None) -> Exported:
    """Merges to disk, and shows how far it is."""
    if out_shard_size is not None:
        numbers = numbers_in(out_shard_size)
        bytes_each = _BYTES[order.recipe.out_dtype or order.recipe.dtype]
        order = replaced(order, shard_bytes=max(numbers * bytes_each, 1))
        told = f"--out-shard-size {out_shard_size} counts numbers: {size(order.shard_bytes)} in a file"
        note(f"Note: {told}; --shard-size takes gigabytes")
    try:
        with progress() as shown:
            exported = merge_here(order, shown.written, shown.announced)
    except KeyboardInterrupt:
        note("Interrupted; the same command goes on from here.")
        raise
    note(exported.verified or "not verified: transformers was not asked to load it (--no-verify)")
    for remark in exported.notes:
        note(remark)
    return exported


def _check_folders(steps: list[MergeStep], *, replace: bool) -> None:
    """Refuses to begin several merges whose last would find its folder taken."""
    for step in steps:
        if step.is_final and step.folder.exists() and not replace:
            raise FolderTakenError(str(step.folder))


def _seeded(merges: tuple[NamedMerge, ...], seed: int | None) -> tuple[NamedMerge, ...]:
    """Returns the merges with a seed; without one each recipe's own stays."""
    if seed is None:
        return merges
    found = []
    for each in merges:
        fields = {name: getattr(each.recipe, name) for name in Recipe.model_fields}
        found.append(replaced(each, recipe=Recipe(**fields | {"seed": seed})))
    return tuple(found)


def _device(device: str, *, cuda: bool) -> str:
    if not cuda:
        return device
    note("Note: --cuda is mergekit's; it is --device cuda here")
    return "cuda" if device == "cpu" else device


def numbers_in(text: str) -> int:
    """Returns how many numbers mergekit's `--out-shard-size` allows in a file, such as `5B` or `500M`.

    Raises:
        typer.BadParameter: It says none.
    """
    match = _NUMBERS.fullmatch(text.strip())
    if match is None or not int(match["number"]):
        raise typer.BadParameter(f"{text!r} is no count of numbers; write it as 5B or 500M")
    return int(match["number"]) * _COUNTS[match["unit"].lower()]
