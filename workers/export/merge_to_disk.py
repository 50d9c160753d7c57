"""Merges a recipe to disk: parents are read as needed, one tensor or some of its rows at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from search_spaces import Parent, Recipe
from search_spaces.recipes.idle_filters import idle_filters
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from workers.calibration.records import Records
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.architecture.loading import check_loadable
from workers.checkpoints.companions import companions_of
from workers.checkpoints.layout import Layout
from workers.checkpoints.number_formats import SAFETENSORS_NAMES
from workers.checkpoints.parents import CheckpointReader
from workers.checkpoints.verification.loading_check import check_loads, get_ready
from workers.checkpoints.writing.checkpoint import Contents, StoredTensor, continue_checkpoint
from workers.compatibility.fitted_reader import FittedReader
from workers.compatibility.fitting import FittedParents, fit_parents
from workers.compatibility.loaded_parents import load_parent
from workers.errors import CheckpointError, ExportError
from workers.export.content_hashes import ContentHashes
from workers.export.finished import FinishedFolder, forget
from workers.export.gguf import convert_to_gguf, find_converter
from workers.export.lock_file import LockedMerge, write_lock
from workers.export.object_store import copy_to_store
from workers.export.recipe_folder import write_recipe_folder
from workers.export.rescoring import Rescoring
from workers.export.tensor_stream import TensorStream, load_code, within_limit
from workers.merging.device import device_named
from workers.merging.folding import fold_scales
from workers.merging.plan import MergePlan, TensorPlan, plan_merge
from workers.protocol.card_marks import filled_in
from workers.protocol.messages import Announce, Exported, ExportOrder, Progress

RECIPE_FILE = "mergekit_config.yml"
CARD_FILE = "README.md"


def export(
    order: ExportOrder, progress: Progress | None = None, announce: Announce | None = None
) -> Exported:
    """Writes a recipe's checkpoint, and pushes it to the Hub where that is asked for.

    Raises:
        WorkerError: A parent cannot be read, the merge fails, or nothing can be written or pushed.
    """
    if order.format == "gguf":
        find_converter()  # before anything is merged
    if order.format == "mergekit":
        exported = write_recipe_folder(order)
    else:
        exported = merge_to_disk(order, progress, announce)
    if order.format == "gguf":
        exported = convert_to_gguf(exported)
    if order.remote is not None:
        return copy_to_store(exported, order.remote, replace=order.replace_remote)
    if order.hub is None:
        return exported
    from workers.checkpoints.hub.push import (
        push_folder,
    )  # slow to import, and most merges stay here

    folder = Path(exported.folder)
    try:
        pushed = push_folder(folder, order.hub)
    except ExportError as error:
        kept = f"the merged model is kept in {folder}, and the same export goes on with its upload"
        raise ExportError(error.field, error.detail, f"{error.remedy}; {kept}") from error
    forget(folder)
    joined = (f"in the collection {pushed.collection}",) if pushed.collection else ()
    said = f"on the Hub it {pushed.plan.text()}"
    return replace(exported, url=pushed.url, notes=(*exported.notes, said, *joined))


def merge_to_disk(
    order: ExportOrder, progress: Progress | None = None, announce: Announce | None = None
) -> Exported:
    """Writes a recipe's checkpoint into the order's folder.

    Where an earlier process was killed at the same order, its tensors are kept.  Where the same order
    was finished and only its upload failed, its folder is used.

    Raises:
        WorkerError: A parent cannot be read, the merge fails, nothing can be written, transformers does
            not load what was written, or the memory limit is too low.
    """
    device = device_named(order.device)
    stored = find_parents(order.recipe)
    check_apart(stored, Path(order.folder))
    check_names((*order.extra_files, *order.pictures))
    fitted = fit_parents(order.recipe, stored)
    layouts = fitted.layouts
    if order.strict:
        check_no_idle_filter(order.recipe, layouts)
    plan = fold_scales(plan_merge(order.recipe, layouts))
    contents = contents_of(order, plan, fitted)
    check_loadable(contents.config, {tensor.name: tensor.shape for tensor in contents.tensors})
    files = fingerprints(layouts)
    notes = tuple(note for layout in stored.values() for note in layout.notes)
    key = key_of(order, contents, files)
    finished = FinishedFolder.of(Path(order.folder), f"{key} {order.verify}", contents)
    if order.hub is not None and not order.restart and (found := finished.find()) is not None:
        return replace(found, notes=notes)
    merge = LockedMerge(order.recipe, plan, stored, contents.tensors, order.device, named=_leaves(order))
    with (
        ContentHashes(stored) as hashes,
        FittedReader(CheckpointReader(stored), fitted) as parents,
        Records(stored) as records,
        Rescoring(order.answers if order.verify else None, order.folder) as rescoring,
    ):
        if order.memory_limit is not None:
            load_code(plan, parents, records.record)
        limit = within_limit(order.memory_limit)
        if order.verify:
            get_ready()  # it takes seconds, and goes on beside the merge
        stream = TensorStream(plan, layouts, parents, limit, records.record, device=device)
        contents = replace(contents, queued=limit.queued)
        if announce is not None:
            announce(sum(tensor.bytes for tensor in contents.tensors))

        def check(folder: Path) -> str:
            loaded = check_loads(folder, order.folder, owner=plan.owner.folder, free=order.memory_limit)
            verified = "; ".join(said for said in (loaded, rescoring.check(folder)) if said)
            fill_in_card(folder, verified)
            return verified

        def tensors_from(number: int) -> Iterator[tuple[str, Tensor]]:
            yield from stream.tensors_from(number)
            check_unchanged(layouts, files)

        exported = continue_checkpoint(
            contents,
            tensors_from,
            Path(order.folder),
            key=key,
            restart=order.restart,
            replace=order.replace,
            progress=progress,
            check=check if order.verify else None,
            complete=lambda folder, digests: write_lock(folder, merge, hashes, digests),
        )
    if order.hub is not None:
        finished.note(exported)
    return replace(exported, notes=notes)


def _leaves(order: ExportOrder) -> bool:
    """Says whether the checkpoint leaves this machine."""
    return order.hub is not None or order.remote is not None


def fill_in_card(folder: Path, verified: str) -> None:
    """Writes what was found of a checkpoint into its card, where there is one."""
    card = folder / CARD_FILE
    if card.is_file():
        card.write_text(filled_in(card.read_text(encoding="utf-8"), verified), encoding="utf-8")


def contents_of(order: ExportOrder, plan: MergePlan, fitted: FittedParents) -> Contents:
    """Returns what an order's folder will hold."""
    return Contents(
        config=merged_config(plan.owner, order.recipe, fitted.layouts),
        tensors=stored_tensors(plan, fitted.layouts),
        copied=fitted.tokenizer.kept_of(companions_of(plan.owner.folder)),
        texts={
            **fitted.tokenizer.texts,
            RECIPE_FILE: write_recipe(order.recipe),
            **({CARD_FILE: order.card} if order.card else {}),
            **order.extra_files,
            **order.pictures,
        },
        shard_bytes=order.shard_bytes,
    )


def check_no_idle_filter(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> None:
    """Refuses filters that choose no tensor of any model.

    Raises:
        ExportError: Names the first one.
    """
    for idle in idle_filters(recipe, (name for layout in layouts.values() for name in layout.tensors)):
        raise ExportError(idle.field, idle.detail, "take it out, or leave --strict out")


def key_of(order: ExportOrder, contents: Contents, files: Mapping[str, str]) -> str:
    """Returns what an unfinished merge must agree in with this one: all that its weights depend on."""
    told = {
        "evomerge": version("evomerge"),
        "torch": torch.__version__,
        "recipe": order.recipe.digest,
        "parents": dict(files),
        "tensors": [[tensor.name, list(tensor.shape), tensor.dtype] for tensor in contents.tensors],
        "shard_bytes": order.shard_bytes,
        **({} if order.device == "cpu" else {"device": order.device}),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def fingerprints(layouts: Mapping[Parent, Layout]) -> dict[str, str]:
    """Returns size and time of change of every file that the parents' weights lie in."""
    entries = [entry for layout in layouts.values() for entry in layout.tensors.values()]
    paths = {entry.file for entry in entries} | {e.change.file for e in entries if e.change is not None}
    return {str(path): _fingerprint(path) for path in sorted(paths)}


def check_unchanged(layouts: Mapping[Parent, Layout], before: Mapping[str, str]) -> None:
    """Refuses what was merged while a parent was being replaced.

    Raises:
        CheckpointError: Names the file.
    """
    for path, now in fingerprints(layouts).items():
        if now != before[path]:
            raise CheckpointError(
                path, "changed while it was being merged", "merge again when no process writes to it"
            )


def _fingerprint(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise CheckpointError(
            str(path), f"cannot be read ({error.strerror})", "leave the parents where they are"
        ) from error
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def find_parents(recipe: Recipe) -> dict[Parent, Layout]:
    """Returns the layouts of all checkpoints that a recipe needs as transformers loads them.

    What lies on the Hub is downloaded.

    Raises:
        CheckpointError: One is missing or broken.
    """
    needed = dict.fromkeys((*recipe.all_parents, recipe.tokenizer_owner))
    return {parent: load_parent(parent) for parent in needed}


def check_apart(layouts: Mapping[Parent, Layout], folder: Path) -> None:
    """Refuses to write a merged model where one of its parents lies.

    Raises:
        ExportError: Names the parent.
    """
    target = folder.expanduser().resolve()
    for parent, layout in layouts.items():
        own = layout.folder.resolve()
        if target == own or target in own.parents:
            detail = f"is where the parent {parent} lies, or holds it"
            raise ExportError(str(folder), detail, "write to another folder")


def check_names(files: Iterable[str]) -> None:
    """Refuses further files that would not lie in the checkpoint's own folder.

    Raises:
        ExportError: Names the file.
    """
    for name in files:
        if not name.isprintable() or name in ("", ".", "..") or "/" in name:
            raise ExportError(repr(name), "is no file name", "write a name without slashes")


def stored_tensors(plan: MergePlan, layouts: Mapping[Parent, Layout]) -> list[StoredTensor]:
    """Returns the names, shapes and types that a plan's tensors will have."""
    return [StoredTensor(tensor.name, tensor.shape, _dtype(tensor, layouts)) for tensor in plan.tensors]


def _dtype(tensor: TensorPlan, layouts: Mapping[Parent, Layout]) -> str:
    if tensor.out_dtype is not None:
        return SAFETENSORS_NAMES[tensor.out_dtype]
    source = tensor.inputs[0]  # copied as it is
    return layouts[source.parent].tensors[source.tensor].dtype
