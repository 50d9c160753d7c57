"""Reproduction: a checkpoint is merged again from its lock, and compared tensor by tensor.

Nothing is written: the tensors are hashed as they come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from search_spaces import Parent, Recipe
from search_spaces.recipes.renamed_parents import with_parents
from workers.checkpoints.layout import Layout
from workers.checkpoints.tensor_digests import tensor_digests
from workers.compatibility.fitting import fit_parents
from workers.compatibility.loaded_parents import load_parents
from workers.errors import CheckpointError
from workers.export.provenance.content_hashes import content_hash, weight_files
from workers.export.provenance.lock_file import arithmetic, read_lock, versions
from workers.export.tensor_stream import open_stream
from workers.merging.folding import fold_scales
from workers.merging.plan import MergePlan, plan_merge
from workers.protocol.reproduction_orders import Reproduced, ReproductionOrder


def reproduce(order: ReproductionOrder) -> Reproduced:
    """Merges again what a folder's lock describes, and compares.

    Raises:
        WorkerError: There is no lock, or a parent is missing, has other content, or cannot be merged.
    """
    folder = Path(order.folder)
    lock = read_lock(folder)
    renamed = _places(lock, order.parents)
    recipe = with_parents(
        Recipe.model_validate(lock["recipe"]), lambda parent: renamed.get(str(parent), parent)
    )
    stored = load_parents(recipe)
    _check_parents(lock, renamed, stored)
    locked: Mapping[str, Any] = lock["tensors"]
    there, again = tensor_digests(folder), _merge_again(recipe, stored, locked, order.memory_limit)
    wanted = {name: str(entry["sha256"]) for name, entry in locked.items()}
    return Reproduced(
        tensors=len(wanted),
        differing=_differing(wanted, again),
        altered=_differing(wanted, there),
        changed_versions=_changed(lock),
    )


def _places(lock: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Parent]:
    """Returns where every parent of a lock is, by the lock's reference: as given, or at its commit."""
    found = {}
    for entry in lock["parents"]:
        reference = str(entry["reference"])
        parent = Parent.model_validate(reference)
        if reference in given:
            parent = Parent.model_validate(given[reference])
        elif entry["commit"] is not None:
            parent = parent.model_copy(update={"revision": entry["commit"]})
        found[reference] = parent
    unknown = sorted(given.keys() - found.keys())
    if unknown:
        known = ", ".join(found)
        raise CheckpointError(unknown[0], "is none of the lock's parents", f"name one of: {known}")
    return found


def _check_parents(
    lock: Mapping[str, Any], places: Mapping[str, Parent], layouts: Mapping[Parent, Layout]
) -> None:
    """Refuses parents whose files are not those that were merged.

    Raises:
        CheckpointError: Names the parent.
    """
    for entry in lock["parents"]:
        layout = layouts[places[entry["reference"]]]
        found = sorted(content_hash(path) for path in weight_files(layout))
        if found != sorted(entry["files"].values()):
            raise CheckpointError(
                str(layout.parent),
                f"has other weights than {entry['reference']} had",
                f"fetch the same revision, and name it: --parent {entry['reference']}=FOLDER",
            )


def _merge_again(
    recipe: Recipe, stored: Mapping[Parent, Layout], locked: Mapping[str, Any], limit: int | None
) -> dict[str, str]:
    fitted = fit_parents(recipe, dict(stored))
    plan = with_seeds(fold_scales(plan_merge(recipe, fitted.layouts)), locked)
    with open_stream(plan, stored, fitted, limit, torch.device("cpu")) as stream:
        return dict(_hashed(stream.tensors_from(0)))


def with_seeds(plan: MergePlan, locked: Mapping[str, Any]) -> MergePlan:
    """Returns a plan that draws from the seeds that a lock holds, wherever the parents lie."""
    tensors = tuple(
        replace(tensor, seeds=tuple(int(text, 16) for text in locked[tensor.name]["seeds"]))
        if tensor.seeds and "seeds" in locked.get(tensor.name, {})
        else tensor
        for tensor in plan.tensors
    )
    return replace(plan, tensors=tensors)


def _hashed(tensors: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, str]]:
    """Yields every tensor's digest; pieces of one come one after the other."""
    name, digest = None, hashlib.sha256()
    for following, tensor in tensors:
        if name is not None and following != name:
            yield name, digest.hexdigest()
            digest = hashlib.sha256()
        name = following
        flat = tensor.detach().contiguous().reshape(-1)
        if flat.numel():
            digest.update(flat.view(torch.uint8).numpy().data)
    if name is not None:
        yield name, digest.hexdigest()


def _differing(wanted: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, ...]:
    names: Sequence[str] = sorted(wanted.keys() | found.keys())
    return tuple(name for name in names if wanted.get(name) != found.get(name))


def _changed(lock: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Returns what computes differently here than it did then: what, then, now."""
    now = versions() | arithmetic("cpu")
    then = {**lock["versions"], **lock["arithmetic"]}
    return tuple((name, str(then[name]), now.get(name, "–")) for name in then if now.get(name) != then[name])
